//! The service, called without a socket. Every answer is held against `/api/v1/openapi.json`.

mod changes;
mod collections;
mod commit;
mod documents;
mod edge;
mod idempotency;
mod many;
mod queries;
mod refusals;
mod support;
