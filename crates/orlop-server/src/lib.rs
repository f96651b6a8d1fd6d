//! orlop-server.
