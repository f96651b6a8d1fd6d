//! The baseline of the HTTP benchmark: a handler that returns the same bytes from memory.
//!
//! `http-baseline ADDRESS PATH=FILE ..` answers `GET PATH` with the bytes of FILE as JSON, with the
//! headers given in `PATH=FILE.headers` when that file is there. http.sh starts it.

use std::process::ExitCode;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::Response;
use axum::routing::get;
use bytes::Bytes;

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("http-baseline: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let address = args.next().ok_or("no address is given")?;
    let mut routes = Router::new();
    for given in args {
        let (path, file) = given.split_once('=').ok_or("PATH=FILE is expected")?;
        let body = Bytes::from(std::fs::read(file)?);
        let headers = headers(&format!("{file}.headers"))?;
        let handler = move || {
            let (body, headers) = (body.clone(), headers.clone());
            async move { answer(body, headers) }
        };
        routes = routes.route(path, get(handler));
    }
    let listener = tokio::net::TcpListener::bind(&address).await?;
    println!("{}", listener.local_addr()?);
    axum::serve(listener, routes).await?;
    Ok(())
}

fn answer(body: Bytes, headers: HeaderMap) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.headers_mut() = headers;
    response
}

/// The headers that the real server sent with these bytes, less those that every answer gets anew.
fn headers(file: &str) -> Result<HeaderMap, Box<dyn std::error::Error>> {
    let mut headers = HeaderMap::new();
    for line in std::fs::read_to_string(file)?.lines() {
        let Some((name, value)) = line.split_once(':') else {
            continue;
        };
        let name = name.trim().to_ascii_lowercase();
        if !matches!(
            name.as_str(),
            "date" | "content-length" | "connection" | "transfer-encoding"
        ) {
            let name = HeaderName::from_bytes(name.as_bytes())?;
            headers.insert(name, HeaderValue::from_str(value.trim())?);
        }
    }
    Ok(headers)
}
