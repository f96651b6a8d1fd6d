//! The service over one open store: its state and its routes.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use axum::Router;
use axum::http::HeaderValue;
use axum::middleware::from_fn_with_state;
use orlop::document::Declaration;
use orlop::engine::Seq;
use orlop::{Orlop, Result};
use tokio::sync::watch;

use crate::auth::Auth;
use crate::edge::{AccessLog, edge};
use crate::http;
use crate::metrics::Requests;
use crate::once::{self, InFlightKeys};
use crate::tokens;

/// Names of collections that begin so are the store's own.
pub(crate) const RESERVED: &str = "_orlop.";

/// What the service needs beside its store.
#[derive(Debug, Clone)]
pub struct AppSettings {
    /// Name of the program, for its page and messages.
    pub name: String,
    /// Largest body of a request, in bytes.
    pub body_bytes_max: usize,
    /// Longest time a request may take.
    pub request_timeout: Duration,
    /// The store's folder, whose size the metrics tell. None for stores that have none.
    pub folder: Option<PathBuf>,
    /// Time between two comments that keep a quiet feed open.
    pub keep_alive: Duration,
}

impl Default for AppSettings {
    fn default() -> Self {
        Self {
            name: "orlop".into(),
            body_bytes_max: 20 * 1024 * 1024,
            request_timeout: Duration::from_secs(30),
            folder: None,
            keep_alive: Duration::from_secs(15),
        }
    }
}

/// The state every handler sees.
pub struct App {
    pub(crate) db: Orlop,
    pub(crate) auth: Auth,
    pub(crate) settings: AppSettings,
    pub(crate) requests: Arc<Requests>,
    pub(crate) access_log: AccessLog,
    pub(crate) keys: InFlightKeys,
    /// True once the service drains: feeds end, `/readyz` says no.
    pub(crate) draining: watch::Receiver<bool>,
    declarations: RwLock<HashMap<String, Arc<Declaration>>>,
    /// What a collection nobody declared declares.
    undeclared: Arc<Declaration>,
    pub(crate) known: http::Known,
    /// The last session token that was written: most answers carry the same one.
    session: RwLock<(Seq, HeaderValue)>,
}

impl App {
    /// The service over `db`. `draining` turns true when it is to stop.
    ///
    /// # Errors
    /// Those of listing the store's collections, and of declaring the one of idempotency keys.
    pub async fn new(
        db: Orlop,
        auth: Auth,
        settings: AppSettings,
        draining: watch::Receiver<bool>,
    ) -> Result<Arc<Self>> {
        let app = Self {
            db,
            auth,
            settings,
            requests: Arc::default(),
            access_log: AccessLog::default(),
            keys: InFlightKeys::default(),
            draining,
            declarations: RwLock::default(),
            undeclared: Arc::default(),
            known: http::Known::default(),
            session: RwLock::new((Seq::MAX, HeaderValue::from_static(""))),
        };
        once::declare(&app.db).await?;
        for info in app.db.collections().await? {
            app.note(&info.name, info.declaration);
        }
        Ok(Arc::new(app))
    }

    /// The number of the last commit that reads see.
    pub(crate) async fn seq(&self) -> Seq {
        match self.db.snapshot().await {
            Ok(snapshot) => snapshot.seq().unwrap_or(0),
            Err(_) => 0,
        }
    }

    /// The session token of what reads see now.
    pub(crate) async fn session(&self) -> HeaderValue {
        let seq = self.seq().await;
        {
            let last = self.session.read().unwrap_or_else(PoisonError::into_inner);
            if last.0 == seq {
                return last.1.clone();
            }
        }
        let token = tokens::seq(self.incarnation(), seq);
        let token = HeaderValue::try_from(token).unwrap_or(HeaderValue::from_static(""));
        let mut last = self.session.write().unwrap_or_else(PoisonError::into_inner);
        *last = (seq, token.clone());
        token
    }

    /// Sets this life of the store apart, for tokens.
    pub(crate) fn incarnation(&self) -> u128 {
        self.db.incarnation()
    }

    /// What a collection declares; nothing when no one declared it.
    pub(crate) fn declaration(&self, collection: &str) -> Arc<Declaration> {
        let declarations = self
            .declarations
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        let declared = declarations.get(collection);
        Arc::clone(declared.unwrap_or(&self.undeclared))
    }

    pub(crate) fn note(&self, collection: &str, declaration: Declaration) {
        let mut declarations = self
            .declarations
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        declarations.insert(collection.to_owned(), Arc::new(declaration));
    }

    pub(crate) fn forget(&self, collection: &str) {
        let mut declarations = self
            .declarations
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        declarations.remove(collection);
    }
}

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("App")
            .field("db", &self.db)
            .finish_non_exhaustive()
    }
}

/// The routes of the service, complete with authentication, limits and logs.
///
/// Tests call it without a socket; `serve` puts it behind one.
pub fn router(app: Arc<App>) -> Router {
    Router::new()
        .merge(http::outside())
        .nest("/api/v1", http::data_plane())
        .fallback(http::no_such_route)
        .method_not_allowed_fallback(http::no_such_method)
        .layer(from_fn_with_state(Arc::clone(&app), edge))
        .with_state(app)
}
