//! What every engine does, as tests: run them against one with [`trials`].
//!
//! ```no_run
//! # use std::process::ExitCode;
//! # use orlop_check::conformance::{Memory, trials};
//! fn main() -> ExitCode {
//!     let arguments = libtest_mimic::Arguments::from_args();
//!     libtest_mimic::run(&arguments, trials(Memory)).exit_code()
//! }
//! ```
//!
//! A claim that needs more than the engine's [`Capabilities`] is shown as ignored, with the remedy.

mod generated;
mod local;
mod queries;
mod store;
mod together;
mod writes;

use std::pin::Pin;
use std::sync::Arc;

use libtest_mimic::{Failed, Trial};
use orlop::engine::{Capabilities, Engine, Reply};

pub use local::{Embedded, Memory};
use store::Store;

/// Makes stores of one engine.
pub trait Stores: Send + Sync + 'static {
    /// What the engine is called, in the names of the tests.
    fn name(&self) -> &'static str;

    /// A new empty store, apart from all others.
    fn create(&self) -> Reply<'_, Arc<dyn Engine>>;

    /// Closes a store and opens what it kept; none when the engine keeps nothing.
    ///
    /// Nobody else holds `engine` when it is called.
    fn reopen(&self, engine: Arc<dyn Engine>) -> Reply<'_, Option<Arc<dyn Engine>>>;
}

/// What a claim ends with.
type Outcome = Result<(), Failed>;

/// A test over a new store.
struct Claim {
    name: &'static str,
    /// Changes of one batch that it needs.
    changes: usize,
    run: fn(Store) -> Pin<Box<dyn Future<Output = Outcome> + Send>>,
}

/// A claim by its function's name.
macro_rules! claim {
    ($changes:literal, $module:ident::$name:ident) => {
        Claim {
            name: stringify!($name),
            changes: $changes,
            run: |store| Box::pin($module::$name(store)),
        }
    };
}

const CLAIMS: &[Claim] = &[
    claim!(1, writes::of_many_adders_one_adds),
    claim!(1, writes::a_condition_guards_an_update),
    claim!(1, writes::a_revision_guards_a_write_once),
    claim!(100, writes::put_many_leaves_no_entry_of_old_values),
    claim!(50, writes::deleted_documents_are_nowhere),
    claim!(2, writes::a_broken_rule_names_its_field_and_stores_nothing),
    claim!(1, writes::ids_and_collections_never_collide),
    claim!(1, writes::edge_values_keep_type_and_value),
    claim!(50, queries::null_finds_missing_and_types_sort_as_in_mongodb),
    claim!(60, queries::sorts_page_with_ties_by_id),
    claim!(40, queries::projections_and_counts_agree_with_results),
    claim!(100, queries::pages_show_what_stays_exactly_once),
    claim!(500, queries::explain_names_the_index_and_reads_little),
    claim!(500, queries::an_index_declared_late_gives_what_a_scan_gives),
    claim!(100, generated::queries_mean_what_the_evaluator_says),
    claim!(3, together::a_transfer_happens_whole_or_not),
    claim!(2, together::sums_in_snapshots_stay_the_same_under_transfers),
    claim!(100, together::snapshots_count_whole_deletions),
    claim!(1, together::a_held_snapshot_neither_blocks_nor_sees_writers),
    claim!(3, together::the_feed_gives_each_batch_once_in_order),
];

/// All claims as tests of this engine.
pub fn trials(stores: impl Stores) -> Vec<Trial> {
    let stores: Arc<dyn Stores> = Arc::new(stores);
    let capabilities = match block_on(capabilities(&*stores)) {
        Ok(capabilities) => capabilities,
        Err(error) => {
            let name = format!("{}::opens", stores.name());
            return vec![Trial::test(name, move || Err(error))];
        }
    };
    CLAIMS
        .iter()
        .map(|claim| {
            let stores = Arc::clone(&stores);
            let name = format!("{}::{}", stores.name(), claim.name);
            let run = move || {
                block_on(async {
                    let store = Store::new(stores).await?;
                    (claim.run)(store).await
                })
            };
            if claim.changes <= capabilities.batch_changes {
                Trial::test(name, run)
            } else {
                Trial::test(name, run)
                    .with_kind(capabilities.remedy)
                    .with_ignored_flag(true)
            }
        })
        .collect()
}

async fn capabilities(stores: &dyn Stores) -> Result<Capabilities, Failed> {
    let engine = stores.create().await?;
    let capabilities = engine.capabilities();
    engine.close().await?;
    Ok(capabilities)
}

fn block_on<T>(future: impl Future<Output = Result<T, Failed>>) -> Result<T, Failed> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?
        .block_on(future)
}
