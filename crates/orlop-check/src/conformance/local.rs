//! The engines of this process, for the suite.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use orlop::engine::{Engine, Local, LocalSettings, Reply};
use orlop::{Error, Outcome};
use tempfile::TempDir;

use super::Stores;

/// Stores in memory.
#[derive(Debug)]
pub struct Memory;

impl Stores for Memory {
    fn name(&self) -> &'static str {
        "memory"
    }

    fn create(&self) -> Reply<'_, Arc<dyn Engine>> {
        Box::pin(async {
            let engine: Arc<dyn Engine> = Arc::new(Local::memory(&LocalSettings::default())?);
            Ok(engine)
        })
    }

    fn reopen(&self, _: Arc<dyn Engine>) -> Reply<'_, Option<Arc<dyn Engine>>> {
        Box::pin(async { Ok(None) })
    }
}

/// Stores in temporary folders, removed with this.
#[derive(Debug, Default)]
pub struct Embedded {
    /// By the address of their engine, for as long as it lives.
    folders: Mutex<HashMap<usize, TempDir>>,
}

impl Stores for Embedded {
    fn name(&self) -> &'static str {
        "embedded"
    }

    fn create(&self) -> Reply<'_, Arc<dyn Engine>> {
        Box::pin(async {
            let folder = tempfile::tempdir().map_err(|error| {
                Error::unavailable(format!("no temporary folder: {error}"), Outcome::NotApplied)
            })?;
            self.open(folder)
        })
    }

    fn reopen(&self, engine: Arc<dyn Engine>) -> Reply<'_, Option<Arc<dyn Engine>>> {
        Box::pin(async move {
            engine.close().await?;
            let folder = self.lock().remove(&address(&engine));
            drop(engine);
            folder.map(|folder| self.open(folder)).transpose()
        })
    }
}

impl Embedded {
    fn open(&self, folder: TempDir) -> orlop::Result<Arc<dyn Engine>> {
        let path: &Path = folder.path();
        let engine: Arc<dyn Engine> = Arc::new(Local::open(path, &LocalSettings::default())?);
        self.lock().insert(address(&engine), folder);
        Ok(engine)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<usize, TempDir>> {
        self.folders.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn address(engine: &Arc<dyn Engine>) -> usize {
    Arc::as_ptr(engine).cast::<()>() as usize
}
