//! Random collections, indexes and queries against the meaning.
//!
//! `SEED=n` runs one collection again; `WORLDS=n` says how many are tried.

use bson::oid::ObjectId;
use bson::{DateTime, doc};

use super::*;
use crate::query::{ElemMatch, Path, Pattern, Pred};

const PATHS: [&str; 8] = ["a", "b", "c", "a.b", "a.c", "b.b", "a.0", "a.0.b"];

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut it = self.0;
        it = (it ^ (it >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        it = (it ^ (it >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        it ^ (it >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    fn one_in(&mut self, chances: usize) -> bool {
        self.below(chances) == 0
    }

    fn pick<'t, T>(&mut self, from: &'t [T]) -> &'t T {
        &from[self.below(from.len())]
    }

    fn scalar(&mut self) -> Bson {
        match self.below(24) {
            0..=5 => Bson::Int32(self.below(4) as i32),
            6 => Bson::Int64(self.below(4) as i64),
            7 => Bson::Double(self.below(8) as f64 / 2.0),
            8 => Bson::Decimal128("1.0".parse().unwrap()),
            9..=12 => Bson::from(*self.pick(&["", "a", "ab", "abc", "b", "A"])),
            13..=15 => Bson::Null,
            16 => Bson::Boolean(self.one_in(2)),
            17 => Bson::DateTime(DateTime::from_millis(self.below(3) as i64)),
            18 => Bson::ObjectId(ObjectId::from_bytes([self.below(3) as u8; 12])),
            19 => Bson::Double(*self.pick(&[f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0])),
            20 => self.pick(&[Bson::MinKey, Bson::MaxKey]).clone(),
            21 => Bson::Binary(bson::Binary {
                subtype: bson::spec::BinarySubtype::Generic,
                bytes: vec![3; self.below(3)],
            }),
            _ => Bson::Int32(1),
        }
    }

    fn value(&mut self, depth: usize, arrays: bool) -> Bson {
        match self.below(10) {
            0..=2 if arrays && depth > 0 => Bson::Array(
                (0..self.below(4))
                    .map(|_| self.value(depth - 1, arrays))
                    .collect(),
            ),
            3..=4 if depth > 0 => Bson::Document(self.fields(&["b", "c"], depth - 1, arrays)),
            _ => self.scalar(),
        }
    }

    fn fields(&mut self, names: &[&str], depth: usize, arrays: bool) -> Document {
        let mut fields = Document::new();
        for name in names {
            if !self.one_in(4) {
                fields.insert(*name, self.value(depth, arrays));
            }
            if self.one_in(60) {
                fields.insert(*name, Bson::Undefined);
            }
        }
        fields
    }

    fn document(&mut self, arrays: bool) -> Document {
        let id = match self.below(6) {
            0 => Bson::from(*self.pick(&["x", "y", "z\0", ""])),
            1 => Bson::Document(doc! { "b": self.below(3) as i32 }),
            _ => Bson::Int32(self.below(60) as i32),
        };
        let mut document = doc! { "_id": id };
        document.extend(self.fields(&["a", "b", "c"], 3, arrays));
        if arrays && self.one_in(3) {
            // What different elements of one array hold is easily taken for what one holds.
            let items = (0..self.below(4)).map(|_| self.fields(&["b", "c"], 0, false).into());
            document.insert("a", Bson::Array(items.collect()));
        }
        document
    }

    fn spec(&mut self) -> IndexSpec {
        let mut keys: Vec<(&str, i32)> = Vec::new();
        for _ in 0..=self.below(3) {
            let path = *self.pick(&PATHS);
            if !keys.iter().any(|(known, _)| *known == path) {
                keys.push((path, *self.pick(&[1, -1])));
            }
        }
        let mut spec = spec(&keys);
        spec.sparse = self.one_in(4);
        spec
    }

    fn pattern(&mut self) -> Pattern {
        Pattern {
            pattern: (*self.pick(&["^a", "^ab", "^ab*", "b", "^a|b", "^A"])).into(),
            options: (*self.pick(&["", "", "i"])).into(),
        }
    }

    fn values(&mut self) -> Vec<Bson> {
        (0..self.below(4)).map(|_| self.operand()).collect()
    }

    fn operand(&mut self) -> Bson {
        if self.one_in(6) {
            self.value(2, true)
        } else {
            self.scalar()
        }
    }

    fn pred(&mut self, depth: usize) -> Pred {
        match self.below(22) {
            0..=6 => Pred::Eq(self.operand()),
            7 => Pred::Gt(self.operand()),
            8 => Pred::Gte(self.operand()),
            9 => Pred::Lt(self.operand()),
            10 => Pred::Lte(self.operand()),
            11 => Pred::Ne(self.operand()),
            12 | 13 => {
                let patterns = if self.one_in(5) {
                    vec![self.pattern()]
                } else {
                    Vec::new()
                };
                Pred::In(self.values(), patterns)
            }
            14 => Pred::Nin(self.values(), Vec::new()),
            15 => Pred::Exists(self.one_in(2)),
            16 => Pred::Type(vec![
                *self.pick(&[1, 2, 3, 4, 6, 7, 8, 9, 10, 16, 18, 19, -1]),
            ]),
            17 => Pred::Regex(self.pattern()),
            18 => Pred::All(
                (0..self.below(3))
                    .map(|_| Pred::Eq(self.operand()))
                    .collect(),
            ),
            19 if depth > 0 => Pred::ElemMatch(ElemMatch::Value(self.preds(depth - 1))),
            20 if depth > 0 => {
                let fields = (0..=self.below(2)).map(|_| {
                    let path = *self.pick(&["b", "c"]);
                    Expr::Field(path.into(), self.pred(depth - 1))
                });
                Pred::ElemMatch(ElemMatch::Document(Box::new(Expr::And(fields.collect()))))
            }
            21 if depth > 0 => Pred::Not(self.preds(depth - 1)),
            _ => Pred::Size(self.below(3) as i64),
        }
    }

    fn preds(&mut self, depth: usize) -> Vec<Pred> {
        (0..=self.below(2)).map(|_| self.pred(depth)).collect()
    }

    fn path(&mut self) -> Path {
        if self.one_in(8) {
            "_id".into()
        } else {
            (*self.pick(&PATHS)).into()
        }
    }

    fn filter(&mut self, depth: usize) -> Expr {
        match self.below(10) {
            0 => Expr::All,
            1..=3 if depth > 0 => Expr::And(self.filters(depth)),
            4..=5 if depth > 0 => Expr::Or(self.filters(depth)),
            6 if depth > 0 => Expr::Nor(self.filters(depth)),
            _ => Expr::Field(self.path(), self.pred(2)),
        }
    }

    /// A condition that bounds a field of an index, as often as not through an element.
    fn on(&mut self, path: &str) -> Expr {
        let simple = [Pred::Eq, Pred::Eq, Pred::Gte, Pred::Lt];
        let pred = self.pick(&simple)(self.scalar());
        match path.split_once('.') {
            Some((array, field)) if self.one_in(3) => {
                let inner = Expr::Field(field.to_owned().into(), pred);
                let inner = ElemMatch::Document(Box::new(inner));
                Expr::Field(array.to_owned().into(), Pred::ElemMatch(inner))
            }
            _ if self.one_in(4) => Expr::Field(path.to_owned().into(), self.pred(1)),
            _ => Expr::Field(path.to_owned().into(), pred),
        }
    }

    fn filters(&mut self, depth: usize) -> Vec<Expr> {
        (0..=self.below(3))
            .map(|_| self.filter(depth - 1))
            .collect()
    }

    fn query(&mut self, world: &World) -> Query {
        let mut query = query(doc! {});
        query.filter = self.filter(2);
        for _ in 0..self.below(4) {
            let path = self.path();
            if !query.sort.keys.iter().any(|(known, _)| *known == path) {
                query
                    .sort
                    .keys
                    .push((path, direction(*self.pick(&[1, -1]))));
            }
        }
        if self.one_in(3) {
            let index = self.pick(&world.indexes).clone();
            let fields = index.spec.keys.iter();
            query.filter = Expr::And(fields.map(|(path, _)| self.on(path)).collect());
        }
        if self.one_in(2) {
            // The order of an index, often enough.
            let index = self.pick(&world.indexes).clone();
            let skip = self.below(2);
            let keys = index.spec.keys.iter().skip(skip);
            let turn = self.one_in(2);
            query.sort.keys = keys
                .map(|(path, own)| (path.clone().into(), turned(*own, turn)))
                .collect();
            if let Some((path, _)) = index.spec.keys.first().filter(|_| skip > 0) {
                let pin = Expr::Field(path.clone().into(), Pred::Eq(self.scalar()));
                query.filter = Expr::And(vec![query.filter, pin]);
            }
        }
        query.skip = if self.one_in(3) {
            self.below(4) as u64
        } else {
            0
        };
        query.limit = if self.one_in(2) {
            Some(self.below(6) as u64)
        } else {
            None
        };
        if self.one_in(3) {
            let document = self.pick(&world.documents);
            query.after = query.sort.sort_key(document).ok();
        }
        query
    }
}

fn turned(direction: Direction, turn: bool) -> Direction {
    match (direction, turn) {
        (Direction::Ascending, false) | (Direction::Descending, true) => Direction::Ascending,
        _ => Direction::Descending,
    }
}

/// A collection that keeps what its indexes accept.
fn world(random: &mut Random) -> World {
    let mut world = World::default();
    for _ in 0..=random.below(3) {
        let mut spec = random.spec();
        spec.unique = random.one_in(6);
        world.index(spec);
    }
    let arrays = !random.one_in(3);
    while world.documents.is_empty() || !random.one_in(40) {
        // A refused one is as if it had never been.
        _ = world.put(&random.document(arrays));
    }
    world
}

fn check(world: &World, query: &Query, at: &str) -> Option<Explain> {
    let Ok(expected) = world.meaning(query) else {
        return None;
    };
    let source = world.source();
    let explained = || {
        let specs: Vec<_> = world
            .indexes
            .iter()
            .map(|it| (&it.spec, it.multikey))
            .collect();
        format!(
            "{at}\n{query:?}\n{:?}\n{specs:?}\n{:?}",
            explain(&source, query),
            world.documents
        )
    };
    let found = run(&source, query).and_then(ids);
    if found
        .as_ref()
        .is_err_and(|error| error.message().contains("parallel"))
    {
        return None;
    }
    assert!(found.is_ok(), "{found:?} {}", explained());
    assert_eq!(found.unwrap(), expected, "{}", explained());
    let counted = count(&source, query).unwrap();
    assert_eq!(counted, expected.len() as u64, "count {}", explained());
    // With little memory it is the same, or an error that says so.
    match run_within(&source, query, 300).and_then(ids) {
        Ok(found) => assert_eq!(found, expected, "little memory {}", explained()),
        Err(error) => assert!(
            error.message().contains("300 bytes"),
            "{error} {}",
            explained()
        ),
    }
    let explain = explain(&source, query).unwrap();
    assert_eq!(explain.returned, expected.len() as u64);
    Some(explain)
}

#[test]
fn every_plan_gives_what_the_query_means() {
    let number = |name| {
        std::env::var(name)
            .ok()
            .and_then(|it| it.parse::<u64>().ok())
    };
    let (first, worlds) = match number("SEED") {
        Some(seed) => (seed, 1),
        None => (1, number("WORLDS").unwrap_or(250)),
    };
    let mut plans = std::collections::BTreeMap::<String, u64>::new();
    for seed in first..first + worlds {
        let mut random = Random(seed);
        let world = world(&mut random);
        for turn in 0..60 {
            let query = random.query(&world);
            let at = format!("SEED={seed}, query {turn}");
            if let Some(explain) = check(&world, &query, &at) {
                let plan = explain.plan.replace("LIMIT > ", "").replace("SKIP > ", "");
                *plans.entry(plan).or_default() += 1;
            }
        }
    }
    if worlds > 100 {
        for stage in [
            "IXSCAN",
            "COLLSCAN",
            "OR",
            "SORT",
            "ORDER_BY_ID",
            "ORDER_TIES",
            "IDHACK",
            "IDSCAN",
        ] {
            let tried: u64 = plans
                .iter()
                .filter(|(plan, _)| plan.contains(stage))
                .map(|it| it.1)
                .sum();
            assert!(tried > 50, "{stage} was tried {tried} times: {plans:#?}");
        }
    }
}
