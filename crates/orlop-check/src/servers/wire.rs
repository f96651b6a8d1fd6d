//! A connection that speaks just enough of MongoDB's wire protocol to run commands.
//!
//! Not a driver: blocking, no pool, no retry, no sessions. Tests want it for the bytes: replies
//! come as the server sent them. Message format: MongoDB's documentation of `OP_MSG`.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use bson::{Document, RawDocumentBuf};

use super::process::ServerError;

const OP_MSG: i32 = 2013;
/// Length, request id, response to, operation code; four bytes each.
const HEADER_BYTES: usize = 16;
/// The header, flags of four bytes, and the kind byte of the one section.
const BODY_AT: usize = HEADER_BYTES + 5;
/// Largest message a server sends (`maxMessageSizeBytes`).
const MESSAGE_BYTES_MAX: usize = 48_000_000;

/// One connection to a `mongod`.
#[derive(Debug)]
pub struct Wire {
    stream: TcpStream,
    requests: i32,
}

impl Wire {
    /// Connects to a server on this machine.
    ///
    /// # Errors
    /// When nobody listens on `port`.
    pub fn connect(port: u16) -> Result<Self, ServerError> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_nodelay(true)?;
        // A server that hangs fails the test instead of hanging it.
        stream.set_read_timeout(Some(Duration::from_secs(120)))?;
        Ok(Self {
            stream,
            requests: 0,
        })
    }

    /// Runs commands of `database` in order and answers each with what the server replied, errors
    /// included (`ok: 0`).
    ///
    /// All are sent before the first reply is read: many small commands cost one round trip.
    ///
    /// # Errors
    /// When the connection breaks or a reply is malformed. A refused command is a reply.
    pub fn run_all(
        &mut self,
        database: &str,
        commands: &[Document],
    ) -> Result<Vec<RawDocumentBuf>, ServerError> {
        let mut out = Vec::new();
        for command in commands {
            let mut command = command.clone();
            command.insert("$db", database);
            self.encode(&command, &mut out)?;
        }
        self.stream.write_all(&out)?;
        commands.iter().map(|_| self.reply()).collect()
    }

    /// Runs one command of `database`.
    ///
    /// # Errors
    /// When the connection breaks, the reply is malformed, or it says that the command failed.
    pub fn run(&mut self, database: &str, command: Document) -> Result<Document, ServerError> {
        let reply = self
            .run_all(database, &[command])?
            .pop()
            .ok_or_else(|| ServerError::new("one command has one reply"))?;
        let reply = Document::try_from(reply)
            .map_err(|error| ServerError::new(format!("malformed reply: {error}")))?;
        if reply.get_f64("ok").is_ok_and(|ok| ok == 1.0) {
            Ok(reply)
        } else {
            Err(ServerError::new(format!("command failed: {reply}")))
        }
    }

    fn encode(&mut self, command: &Document, out: &mut Vec<u8>) -> Result<(), ServerError> {
        let body = command
            .to_vec()
            .map_err(|error| ServerError::new(format!("malformed command: {error}")))?;
        self.requests += 1;
        let length = i32::try_from(BODY_AT + body.len())
            .map_err(|_| ServerError::new("command over 2 GiB"))?;
        for word in [length, self.requests, 0, OP_MSG, 0] {
            out.extend(word.to_le_bytes());
        }
        out.push(0);
        out.extend(body);
        Ok(())
    }

    fn reply(&mut self) -> Result<RawDocumentBuf, ServerError> {
        let mut length = [0; 4];
        self.stream.read_exact(&mut length)?;
        let length = usize::try_from(i32::from_le_bytes(length)).unwrap_or(0);
        if !(BODY_AT..=MESSAGE_BYTES_MAX).contains(&length) {
            return Err(ServerError::new(format!("reply of {length} bytes")));
        }
        let mut rest = vec![0; length - 4];
        self.stream.read_exact(&mut rest)?;
        RawDocumentBuf::from_bytes(rest.split_off(BODY_AT - 4))
            .map_err(|error| ServerError::new(format!("malformed reply: {error}")))
    }
}
