//! The service behind a socket: opening, announcing, draining, closing.

use std::path::{Path, PathBuf};
use std::time::Duration;

use axum::Router;
use bson::{Bson, doc};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use orlop::document::{CacheMode, Declaration, Policy};
use orlop::{Error, ErrorKind, Orlop, Outcome, Result};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::app::{App, AppSettings, router};
use crate::auth::{self, Auth};
use crate::program::Program;
use crate::settings::{Settings, is_loopback};

/// Where the hash of a made token is kept.
const SECRETS: &str = "_orlop.secrets";
const TOKEN: &str = "serviceToken";
/// Longest time a client may take to send its headers.
const HEADERS_SECONDS: u64 = 15;
/// Written into a store's folder while a server holds it, so that commands can say how to reach it.
pub(crate) const HOLDER: &str = "server.json";

/// Serves until SIGTERM or SIGINT, then drains and closes the store.
///
/// # Errors
/// `Unavailable` when the store or the address is taken; those of opening the store.
pub(crate) async fn serve(program: &Program, settings: &Settings) -> Result<()> {
    refuse_unsupported(settings)?;
    let db = open(settings).await?;
    declare(program, &db).await?;
    let auth = authority(program, &db, settings).await?;
    let (drain, draining) = watch::channel(false);
    let app_settings = AppSettings {
        name: program.name().to_owned(),
        body_bytes_max: settings.body_bytes_max,
        request_timeout: settings.request_timeout,
        folder: (settings.store != "memory:").then(|| PathBuf::from(&settings.store)),
        ..AppSettings::default()
    };
    let app = App::new(db.clone(), auth, app_settings, draining).await?;
    let listener = bind(settings).await?;
    let address = listener
        .local_addr()
        .map_err(|error| taken(settings, &error))?;
    let holder = Announced::write(settings, address)?;
    let engine = db.engine().capabilities().engine;
    tracing::info!(%address, store = engine, "serving http://{address}");
    if !is_loopback(address.ip()) {
        tracing::warn!(
            %address,
            "other machines can reach this address and nothing is encrypted: put a proxy with TLS in front"
        );
    }
    accept(listener, router(app), &drain, settings.drain_timeout).await?;
    drop(holder);
    db.close().await?;
    tracing::info!("closed");
    Ok(())
}

/// Opens the store the settings name.
pub(crate) async fn open(settings: &Settings) -> Result<Orlop> {
    let mut store = orlop::Settings::default();
    if let Some(bytes) = settings.cache_bytes {
        store.cache.bytes_max = bytes;
    }
    Orlop::open_with(&settings.store, store).await
}

fn refuse_unsupported(settings: &Settings) -> Result<()> {
    let scheme = settings.store.split_once("://").map(|(scheme, _)| scheme);
    if let Some(scheme) = scheme {
        return Err(Error::unsupported(format!(
            "this build serves folders and memory:, not {scheme}:// stores"
        )));
    }
    if settings.cache.is_some() {
        tracing::warn!(
            "a Redis is named and not used: this build caches in the process, which is coherent alone"
        );
    }
    Ok(())
}

/// Declares what the program registers.
pub(crate) async fn declare(program: &Program, db: &Orlop) -> Result<()> {
    for (name, declaration) in program.declarations() {
        db.declare(name, declaration)
            .await
            .map_err(|error| error.context(name))?;
    }
    Ok(())
}

/// The token that was given, or the stored one, or a new one that is told once.
async fn authority(program: &Program, db: &Orlop, settings: &Settings) -> Result<Auth> {
    if let Some(token) = &settings.admin_token {
        return Auth::from_token(token);
    }
    let secrets = Declaration {
        policy: Policy {
            cache: CacheMode::Off,
            ttl_ms: None,
        },
        ..Declaration::default()
    };
    db.declare(SECRETS, &secrets).await?;
    let secrets = db.raw(SECRETS);
    if let Some(stored) = secrets.get(Bson::from(TOKEN)).await? {
        let hash = stored
            .raw()
            .get_binary("hash")
            .ok()
            .map(|hash| hash.bytes.to_vec());
        let hash = hash.and_then(|hash| <[u8; 32]>::try_from(hash).ok());
        return hash.map(Auth::from_hash).ok_or_else(|| {
            Error::corrupt(format!(
                "the stored service token is damaged; set {}_ADMIN_TOKEN",
                program.prefix()
            ))
        });
    }
    let token = auth::new_token()?;
    let auth = Auth::from_token(&token)?;
    let hash = bson::Binary {
        subtype: bson::spec::BinarySubtype::Generic,
        bytes: auth.hash().to_vec(),
    };
    secrets.put(doc! { "_id": TOKEN, "hash": hash }).await?;
    // On standard output, not in the log: logs are kept and shipped.
    println!("Service token, shown this once: {token}");
    println!(
        "Send it as `Authorization: Bearer TOKEN`. Set {}_ADMIN_TOKEN to use one of your own.",
        program.prefix()
    );
    Ok(auth)
}

async fn bind(settings: &Settings) -> Result<TcpListener> {
    TcpListener::bind(settings.listen)
        .await
        .map_err(|error| taken(settings, &error))
}

fn taken(settings: &Settings, error: &std::io::Error) -> Error {
    Error::unavailable(
        format!(
            "cannot listen on {}: {error}; --listen chooses another address",
            settings.listen
        ),
        Outcome::NotApplied,
    )
}

async fn accept(
    listener: TcpListener,
    router: Router,
    drain: &watch::Sender<bool>,
    drain_timeout: Duration,
) -> Result<()> {
    let mut server = http1::Builder::new();
    server
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_secs(HEADERS_SECONDS));
    let connections = GracefulShutdown::new();
    let mut stop = Stop::new()?;
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    // Out of descriptors, most likely: others must end before more can begin.
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            },
            () = stop.asked() => break,
        };
        // An answer in two small packets would wait for the client's acknowledgement in between.
        let _ = stream.set_nodelay(true);
        let service = TowerToHyperService::new(router.clone());
        let connection = server.serve_connection(TokioIo::new(stream), service);
        let connection = connections.watch(connection);
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection ended early");
            }
        });
    }
    drop(listener);
    tracing::info!(open = connections.count(), "draining");
    drain.send_replace(true);
    tokio::select! {
        () = connections.shutdown() => (),
        () = tokio::time::sleep(drain_timeout) => {
            tracing::warn!("requests were still under way at the end of the drain time");
        }
        () = stop.asked() => tracing::warn!("asked a second time, not waiting for requests"),
    }
    Ok(())
}

/// SIGTERM and SIGINT.
struct Stop {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl Stop {
    fn new() -> Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let failed = |error: std::io::Error| {
            Error::new(ErrorKind::Internal, "cannot listen to signals").with_source(error)
        };
        Ok(Self {
            terminate: signal(SignalKind::terminate()).map_err(failed)?,
            interrupt: signal(SignalKind::interrupt()).map_err(failed)?,
        })
    }

    async fn asked(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => (),
            _ = self.interrupt.recv() => (),
        }
    }
}

/// Files that tell others where the server is; taken away when it ends.
struct Announced(Vec<PathBuf>);

impl Announced {
    fn write(settings: &Settings, address: std::net::SocketAddr) -> Result<Self> {
        let told = serde_json::json!({ "address": address.to_string(), "pid": std::process::id() });
        let mut written = Vec::new();
        if let Some(path) = &settings.ready_file {
            place(path, &told.to_string())?;
            written.push(path.clone());
        }
        let folder = Path::new(&settings.store);
        if settings.store != "memory:" && folder.is_dir() {
            let path = folder.join(HOLDER);
            place(&path, &told.to_string())?;
            written.push(path);
        }
        Ok(Self(written))
    }
}

impl Drop for Announced {
    fn drop(&mut self) {
        for path in &self.0 {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Whoever waits for the file must never read half of it.
fn place(path: &Path, text: &str) -> Result<()> {
    let fresh = path.with_extension("new");
    let written = std::fs::write(&fresh, text).and_then(|()| std::fs::rename(&fresh, path));
    written.map_err(|error| {
        Error::unavailable(
            format!("cannot write {}: {error}", path.display()),
            Outcome::NotApplied,
        )
    })
}
