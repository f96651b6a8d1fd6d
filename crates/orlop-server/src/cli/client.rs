//! How a command reaches its store: through a server, or through the same router in this process.

use std::path::Path;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client as HyperClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use orlop::{Error, ErrorKind, Orlop, Outcome, Result};
use serde_json::Value;
use tokio::sync::watch;
use tower::ServiceExt as _;

use crate::app::{App, AppSettings, router};
use crate::auth::{self, Auth};
use crate::program::Program;
use crate::serve::{self, HOLDER};
use crate::settings::Settings;

/// A command on a whole store may take long; nobody waits for it but its caller.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

pub(super) struct Client {
    reach: Reach,
    token: String,
    place: String,
}

enum Reach {
    Server {
        base: String,
        http: HyperClient<HttpConnector, Full<Bytes>>,
        variable: String,
    },
    Here {
        router: Router,
        db: Orlop,
        /// The service drains when this is gone.
        _draining: watch::Sender<bool>,
    },
}

/// One call.
pub(super) struct Call<'a> {
    pub(super) method: Method,
    /// Behind `/api/v1`.
    pub(super) path: &'a str,
    pub(super) canonical: bool,
    pub(super) content_type: &'static str,
    pub(super) body: Bytes,
}

impl<'a> Call<'a> {
    pub(super) fn get(path: &'a str) -> Self {
        Self {
            method: Method::GET,
            path,
            canonical: false,
            content_type: "application/json",
            body: Bytes::new(),
        }
    }

    pub(super) fn post(path: &'a str, body: impl Into<Bytes>) -> Self {
        Self {
            method: Method::POST,
            body: body.into(),
            ..Self::get(path)
        }
    }
}

impl Client {
    /// Opens the store the settings name; a folder is made only for a command that writes.
    pub(super) async fn open(
        program: &Program,
        settings: &Settings,
        creates: bool,
    ) -> Result<Self> {
        if let Some((scheme, _)) = settings.store.split_once("://") {
            return Self::server(program, settings, scheme);
        }
        let folder = Path::new(&settings.store);
        if !creates && settings.store != "memory:" && !folder.exists() {
            return Err(Error::not_found(format!(
                "there is no store at {}; --store names another",
                settings.store
            )));
        }
        let opened = serve::open(settings).await;
        let db = opened.map_err(|error| explain_lock(error, &settings.store))?;
        serve::declare(program, &db).await?;
        let token = auth::new_token()?;
        let (sender, draining) = watch::channel(false);
        let app_settings = AppSettings {
            name: program.name().to_owned(),
            body_bytes_max: usize::MAX,
            request_timeout: DAY,
            ..AppSettings::default()
        };
        let app = App::new(
            db.clone(),
            Auth::from_token(&token)?,
            app_settings,
            draining,
        )
        .await?;
        let reach = Reach::Here {
            router: router(app),
            db,
            _draining: sender,
        };
        Ok(Self {
            reach,
            token,
            place: format!("store {}, opened here: no server holds it", settings.store),
        })
    }

    fn server(program: &Program, settings: &Settings, scheme: &str) -> Result<Self> {
        if scheme != "http" {
            return Err(Error::unsupported(format!(
                "this build reaches servers over http://, not {scheme}://"
            )));
        }
        let variable = format!("{}_ADMIN_TOKEN", program.prefix());
        let token = settings.admin_token.clone().ok_or_else(|| {
            Error::new(
                ErrorKind::Denied,
                format!("the server wants its token: set {variable}, or --admin-token-file"),
            )
        })?;
        let base = settings.store.trim_end_matches('/').to_owned();
        let place = format!("through the server at {base}");
        let http = HyperClient::builder(TokioExecutor::new()).build_http();
        Ok(Self {
            reach: Reach::Server {
                base,
                http,
                variable,
            },
            token,
            place,
        })
    }

    /// Where the command works, for people.
    pub(super) fn place(&self) -> String {
        self.place.clone()
    }

    /// Whether a server answers, whose cache others share.
    pub(super) fn remote(&self) -> bool {
        matches!(self.reach, Reach::Server { .. })
    }

    /// The body of a successful answer.
    ///
    /// # Errors
    /// What the answer's problem says, by its kind; `Unavailable` when nobody answers.
    pub(super) async fn call(&self, call: Call<'_>) -> Result<Bytes> {
        let (status, body) = self.exchange(call).await?;
        match status.is_success() {
            true => Ok(body),
            false => Err(self.problem(status, &body)),
        }
    }

    /// Status and body of an answer, successful or not.
    pub(super) async fn exchange(&self, call: Call<'_>) -> Result<(StatusCode, Bytes)> {
        let base = match &self.reach {
            Reach::Server { base, .. } => base.as_str(),
            Reach::Here { .. } => "",
        };
        let mut bearer = HeaderValue::try_from(format!("Bearer {}", self.token)).map_err(|_| {
            Error::invalid("the service token holds a character that no header carries")
        })?;
        bearer.set_sensitive(true);
        let accept = match call.canonical {
            true => "application/ejson",
            false => "application/json",
        };
        let request = Request::builder()
            .method(call.method)
            .uri(format!("{base}/api/v1{}", call.path))
            .header(header::AUTHORIZATION, bearer)
            .header(header::ACCEPT, accept)
            .header(header::CONTENT_TYPE, call.content_type);
        let malformed = |error| Error::invalid(format!("the address {base} is malformed: {error}"));
        match &self.reach {
            Reach::Here { router, .. } => {
                let request = request.body(Body::from(call.body)).map_err(malformed)?;
                let answer = router.clone().oneshot(request).await;
                let answer = answer.unwrap_or_else(|never| match never {});
                let status = answer.status();
                let body = answer.into_body().collect().await;
                let body = body.map_err(|error| cut_off(&error))?;
                Ok((status, body.to_bytes()))
            }
            Reach::Server { http, .. } => {
                let request = request.body(Full::new(call.body)).map_err(malformed)?;
                let answer = http.request(request).await.map_err(|error| {
                    Error::unavailable(
                        format!("no server answers at {base}; is it running?"),
                        Outcome::Unknown,
                    )
                    .with_source(error)
                })?;
                let status = answer.status();
                let body = answer.into_body().collect().await;
                let body = body.map_err(|error| cut_off(&error))?;
                Ok((status, body.to_bytes()))
            }
        }
    }

    /// The error that an unsuccessful answer tells of.
    pub(super) fn problem(&self, status: StatusCode, body: &[u8]) -> Error {
        let told: Value = serde_json::from_slice(body).unwrap_or_default();
        let mut detail = told["detail"].as_str().unwrap_or_default().to_owned();
        if let Reach::Server { base, variable, .. } = &self.reach {
            if status == StatusCode::UNAUTHORIZED {
                detail = format!(
                    "the server at {base} does not take this token; set {variable} to its own"
                );
            }
            if told.get("code").is_none() {
                detail = format!("the server at {base} answers {status} as none of ours does");
            }
        }
        for field in told["errors"].as_array().into_iter().flatten() {
            let (name, message) = (&field["field"], &field["message"]);
            detail.push_str(&format!(
                "\n  {}: {}",
                name.as_str().unwrap_or_default(),
                message.as_str().unwrap_or_default()
            ));
        }
        let kind = match status.as_u16() {
            401 | 403 => ErrorKind::Denied,
            404 | 410 => ErrorKind::NotFound,
            409 | 412 => ErrorKind::Conflict,
            501 => ErrorKind::Unsupported,
            503 => ErrorKind::Unavailable,
            400..=499 => ErrorKind::Invalid,
            _ => ErrorKind::Internal,
        };
        Error::new(kind, detail)
    }

    /// Closes a store that was opened here.
    pub(super) async fn close(self) -> Result<()> {
        match self.reach {
            Reach::Server { .. } => Ok(()),
            Reach::Here { db, .. } => db.close().await,
        }
    }
}

fn cut_off(error: &dyn std::fmt::Display) -> Error {
    Error::unavailable(format!("the answer was cut off: {error}"), Outcome::Unknown)
}

/// A folder that a server holds: says so, and how to reach the server.
pub(super) fn explain_lock(error: Error, store: &str) -> Error {
    if error.kind() != ErrorKind::Unavailable {
        return error;
    }
    let holder = std::fs::read(Path::new(store).join(HOLDER)).ok();
    let holder: Option<Value> = holder.and_then(|text| serde_json::from_slice(&text).ok());
    let Some(holder) = holder else { return error };
    let address = holder["address"].as_str().unwrap_or_default().to_owned();
    let pid = holder["pid"].as_u64().unwrap_or_default();
    Error::unavailable(
        format!(
            "{}; a server with process id {pid} held it last: reach it with --store http://{address}",
            error.message()
        ),
        Outcome::NotApplied,
    )
}
