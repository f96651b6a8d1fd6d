//! The document form of a declaration: the body of `PUT /collections/{c}`, and the catalog's.

use bson::{Bson, Document, doc};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::schema::Validator;
use super::{Declaration, Direction, IndexSpec, Policy, Timestamps};
use crate::{Error, FieldError, Result};

/// Longest time to live of an index, in seconds: MongoDB's limit.
const EXPIRE_SECONDS_MAX: u64 = 2_147_483_647;

impl Declaration {
    /// Reads the document form, and checks it.
    ///
    /// # Errors
    /// - `Invalid` naming the field that is malformed, doubled or contradicts another.
    /// - `Unsupported` naming the kind of index, option or schema word that is not known.
    pub fn from_document(form: &Document) -> Result<Self> {
        let mut read = Self::default();
        for (word, value) in form {
            if matches!(value, Bson::Null) {
                continue;
            }
            match word.as_str() {
                "indexes" => read.indexes = indexes(value)?,
                "schema" => read.schema = Some(document(word, value)?.clone()),
                "scope" => read.scopes = scopes(value)?,
                "timestamps" => read.timestamps = timestamps(value)?,
                "defaults" => read.defaults = document(word, value)?.clone(),
                "sensitive" => read.sensitive = strings(word, value)?,
                "policy" => read.policy = policy(value)?,
                "compress" => read.compress = flag(word, value)?,
                "shardKey" => read.shard_key = shard_key(value)?,
                "externalWriters" => read.external_writers = flag(word, value)?,
                other => return refuse(other, "unknown", "is not a word of a declaration"),
            }
        }
        read.check()?;
        Ok(read)
    }

    /// The document form, with what differs from the default.
    pub fn to_document(&self) -> Document {
        let mut form = Document::new();
        if !self.indexes.is_empty() {
            let indexes: Vec<_> = self.indexes.iter().map(IndexSpec::to_document).collect();
            form.insert("indexes", indexes);
        }
        if let Some(schema) = &self.schema {
            form.insert("schema", schema.clone());
        }
        if !self.scopes.is_empty() {
            form.insert("scope", self.scopes.clone());
        }
        if let Some(stamps) = &self.timestamps {
            let name =
                |name: &Option<String>| name.clone().map_or(Bson::Boolean(false), Bson::from);
            let named = doc! {"created": name(&stamps.created), "updated": name(&stamps.updated)};
            form.insert("timestamps", named);
        }
        if !self.defaults.is_empty() {
            form.insert("defaults", self.defaults.clone());
        }
        if !self.sensitive.is_empty() {
            form.insert("sensitive", self.sensitive.clone());
        }
        if self.policy != Policy::default() {
            let policy = bson::serialize_to_bson(&self.policy).unwrap_or(Bson::Null);
            form.insert("policy", policy);
        }
        if self.compress {
            form.insert("compress", true);
        }
        if !self.shard_key.is_empty() {
            form.insert("shardKey", self.shard_key.clone());
        }
        if self.external_writers {
            form.insert("externalWriters", true);
        }
        form
    }

    /// Checks that nothing is malformed, doubled or contradicts another part.
    ///
    /// # Errors
    /// As [`Declaration::from_document`].
    pub fn check(&self) -> Result<()> {
        for (at, index) in self.indexes.iter().enumerate() {
            let field = format!("indexes[{at}]");
            index.check(&field)?;
            for other in self.indexes.iter().take(at) {
                if other.name == index.name {
                    let why = format!("a second index is named {}", index.name);
                    return refuse(&format!("{field}.name"), "duplicate", &why);
                }
                if other.keys == index.keys {
                    let why = format!("the index {} has the same key", other.name);
                    return refuse(&format!("{field}.key"), "duplicate", &why);
                }
            }
        }
        for (at, scope) in self.scopes.iter().enumerate() {
            let field = format!("scope[{at}]");
            distinct_paths(&field, scope)?;
            if self
                .scopes
                .iter()
                .take(at)
                .any(|other| same_set(other, scope))
            {
                return refuse(&field, "duplicate", "the same scope is declared twice");
            }
        }
        if !self.sensitive.is_empty() {
            distinct_paths("sensitive", &self.sensitive)?;
        }
        if !self.shard_key.is_empty() {
            distinct_paths("shardKey", &self.shard_key)?;
        }
        self.check_values()
    }

    fn check_values(&self) -> Result<()> {
        if let Some(stamps) = &self.timestamps {
            for name in [&stamps.created, &stamps.updated].into_iter().flatten() {
                path("timestamps", name)?;
            }
            if stamps.created.is_some() && stamps.created == stamps.updated {
                return refuse("timestamps", "duplicate", "both instants have one name");
            }
        }
        for at in self.defaults.keys() {
            path("defaults", at)?;
            let inside = |other: &&String| {
                other
                    .strip_prefix(at.as_str())
                    .is_some_and(|rest| rest.starts_with('.'))
            };
            if let Some(other) = self.defaults.keys().find(inside) {
                return refuse(
                    "defaults",
                    "contradiction",
                    &format!("{other} is inside {at}"),
                );
            }
        }
        for secret in &self.sensitive {
            if secret == "_id" || self.shard_key.contains(secret) {
                return refuse(
                    "sensitive",
                    "contradiction",
                    &format!("{secret} names the document"),
                );
            }
        }
        if let Some(schema) = &self.schema {
            let validator = Validator::new(schema).map_err(|error| error.context("schema"))?;
            for (at, value) in &self.defaults {
                if *value != Bson::from(Self::NOW) && !validator.accepts(at, value) {
                    return refuse(
                        "defaults",
                        "contradiction",
                        &format!("the schema refuses the value of {at}"),
                    );
                }
            }
        }
        Ok(())
    }
}

impl IndexSpec {
    /// Reads `{"key": {"userId": 1}, "name"?, "unique"?, "sparse"?, "expireAfterSeconds"?}`.
    ///
    /// # Errors
    /// As [`Declaration::from_document`].
    pub fn from_document(form: &Document) -> Result<Self> {
        let index = index("index", form)?;
        index.check("index")?;
        Ok(index)
    }

    /// The document form.
    pub fn to_document(&self) -> Document {
        let mut key = Document::new();
        for (path, direction) in &self.keys {
            key.insert(path, direction.sign());
        }
        let mut form = doc! {"key": key, "name": &self.name};
        if self.unique {
            form.insert("unique", true);
        }
        if self.sparse {
            form.insert("sparse", true);
        }
        if let Some(seconds) = self.expire_after_seconds {
            // Within int32: checked where it is read.
            form.insert(
                "expireAfterSeconds",
                i32::try_from(seconds).unwrap_or(i32::MAX),
            );
        }
        form
    }

    fn check(&self, field: &str) -> Result<()> {
        let key = format!("{field}.key");
        let paths: Vec<_> = self.keys.iter().map(|(path, _)| path.clone()).collect();
        distinct_paths(&key, &paths)?;
        if paths == ["_id"] {
            return refuse(&key, "duplicate", "the index on _id is always there");
        }
        if self.name.is_empty() || self.name.contains('\0') {
            return refuse(
                &format!("{field}.name"),
                "malformed",
                "an index needs a name",
            );
        }
        if let Some(seconds) = self.expire_after_seconds {
            let field = format!("{field}.expireAfterSeconds");
            if self.keys.len() != 1 {
                return refuse(
                    &field,
                    "contradiction",
                    "an index that expires documents has one key",
                );
            }
            if seconds > EXPIRE_SECONDS_MAX {
                return refuse(
                    &field,
                    "maximum",
                    &format!("at most {EXPIRE_SECONDS_MAX} seconds"),
                );
            }
        }
        Ok(())
    }
}

impl Serialize for Declaration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_document().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Declaration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let form = Document::deserialize(deserializer)?;
        Self::from_document(&form).map_err(D::Error::custom)
    }
}

impl Serialize for IndexSpec {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_document().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for IndexSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let form = Document::deserialize(deserializer)?;
        Self::from_document(&form).map_err(D::Error::custom)
    }
}

fn refuse<T>(field: &str, rule: &str, why: &str) -> Result<T> {
    let error = Error::invalid(format!("declaration: {field}: {why}"));
    Err(error.with_fields(vec![FieldError {
        field: field.to_owned(),
        rule: rule.to_owned(),
        message: why.to_owned(),
    }]))
}

fn indexes(value: &Bson) -> Result<Vec<IndexSpec>> {
    let Bson::Array(forms) = value else {
        return refuse("indexes", "type", "an array was expected");
    };
    let mut read = Vec::with_capacity(forms.len());
    for (at, form) in forms.iter().enumerate() {
        let field = format!("indexes[{at}]");
        let form = document(&field, form)?;
        // What `getIndexes` lists of every collection is taken as said already.
        if form
            .get_document("key")
            .is_ok_and(|key| key.len() == 1 && key.contains_key("_id"))
        {
            continue;
        }
        read.push(index(&field, form)?);
    }
    Ok(read)
}

fn index(field: &str, form: &Document) -> Result<IndexSpec> {
    let mut read = IndexSpec::on(Vec::<(String, Direction)>::new());
    for (word, value) in form {
        let named = format!("{field}.{word}");
        match word.as_str() {
            "key" => read.keys = keys(&named, document(&named, value)?)?,
            "name" => read.name = string(&named, value)?.to_owned(),
            "unique" => read.unique = flag(&named, value)?,
            "sparse" => read.sparse = flag(&named, value)?,
            "expireAfterSeconds" => read.expire_after_seconds = Some(seconds(&named, value)?),
            // MongoDB's version of the index format, and a wish it ignores itself.
            "v" | "background" | "ns" => {}
            other => {
                return Err(Error::unsupported(format!(
                    "declaration: {field}: option {other:?}"
                )));
            }
        }
    }
    if read.name.is_empty() {
        read.name = IndexSpec::default_name(&read.keys);
    }
    Ok(read)
}

fn keys(field: &str, key: &Document) -> Result<Vec<(String, Direction)>> {
    let mut keys = Vec::with_capacity(key.len());
    for (path, order) in key {
        let direction = match order {
            Bson::String(kind) => {
                return Err(Error::unsupported(format!(
                    "declaration: {field}: index of kind {kind:?}"
                )));
            }
            order => number(order).and_then(|order| match order {
                order if order > 0.0 => Some(Direction::Ascending),
                order if order < 0.0 => Some(Direction::Descending),
                _ => None,
            }),
        };
        let Some(direction) = direction else {
            return refuse(
                &format!("{field}.{path}"),
                "malformed",
                "1 or -1 was expected",
            );
        };
        keys.push((path.clone(), direction));
    }
    Ok(keys)
}

fn scopes(value: &Bson) -> Result<Vec<Vec<String>>> {
    let Bson::Array(items) = value else {
        return strings("scope", value).map(|scope| vec![scope]);
    };
    if items.is_empty() {
        return Ok(Vec::new());
    }
    if items.iter().all(|item| matches!(item, Bson::String(_))) {
        return strings("scope", value).map(|scope| vec![scope]);
    }
    let scope = |(at, item)| strings(&format!("scope[{at}]"), item);
    items.iter().enumerate().map(scope).collect()
}

fn timestamps(value: &Bson) -> Result<Option<Timestamps>> {
    let form = match value {
        Bson::Boolean(kept) => return Ok(kept.then(Timestamps::default)),
        Bson::Document(form) => form,
        _ => {
            return refuse(
                "timestamps",
                "type",
                "true, false or an object was expected",
            );
        }
    };
    let mut read = Timestamps {
        created: None,
        updated: None,
    };
    let usual = Timestamps::default();
    for (word, value) in form {
        let field = format!("timestamps.{word}");
        let (name, usual) = match word.as_str() {
            "created" | "createdAt" => (&mut read.created, &usual.created),
            "updated" | "updatedAt" => (&mut read.updated, &usual.updated),
            _ => return refuse(&field, "unknown", "created and updated are known"),
        };
        *name = match value {
            Bson::Boolean(false) | Bson::Null => None,
            Bson::Boolean(true) => usual.clone(),
            value => Some(string(&field, value)?.to_owned()),
        };
    }
    Ok((read.created.is_some() || read.updated.is_some()).then_some(read))
}

fn policy(value: &Bson) -> Result<Policy> {
    let form = document("policy", value)?;
    match bson::deserialize_from_document(form.clone()) {
        Ok(policy) => Ok(policy),
        Err(error) => refuse("policy", "malformed", &error.to_string()),
    }
}

fn shard_key(value: &Bson) -> Result<Vec<String>> {
    match value {
        // MongoDB's own form, `{"userId": 1}`.
        Bson::Document(key) => Ok(keys("shardKey", key)?
            .into_iter()
            .map(|(path, _)| path)
            .collect()),
        value => strings("shardKey", value),
    }
}

fn distinct_paths(field: &str, paths: &[String]) -> Result<()> {
    if paths.is_empty() {
        return refuse(field, "empty", "at least one path is needed");
    }
    for (at, name) in paths.iter().enumerate() {
        path(field, name)?;
        if paths.iter().take(at).any(|other| other == name) {
            return refuse(field, "duplicate", &format!("{name} is there twice"));
        }
    }
    Ok(())
}

fn path(field: &str, name: &str) -> Result<()> {
    if name
        .split('.')
        .any(|part| part.is_empty() || part.starts_with('$'))
        || name.contains('\0')
    {
        return refuse(
            field,
            "malformed",
            &format!("{name:?} is not a path of a field"),
        );
    }
    Ok(())
}

fn same_set(one: &[String], other: &[String]) -> bool {
    one.len() == other.len() && one.iter().all(|path| other.contains(path))
}

fn document<'a>(field: &str, value: &'a Bson) -> Result<&'a Document> {
    match value {
        Bson::Document(document) => Ok(document),
        _ => refuse(field, "type", "an object was expected"),
    }
}

fn strings(field: &str, value: &Bson) -> Result<Vec<String>> {
    match value {
        Bson::String(one) => Ok(vec![one.clone()]),
        Bson::Array(items) => items
            .iter()
            .map(|item| string(field, item).map(str::to_owned))
            .collect(),
        _ => refuse(field, "type", "an array of strings was expected"),
    }
}

fn string<'a>(field: &str, value: &'a Bson) -> Result<&'a str> {
    match value {
        Bson::String(text) => Ok(text),
        _ => refuse(field, "type", "a string was expected"),
    }
}

fn flag(field: &str, value: &Bson) -> Result<bool> {
    match value {
        Bson::Boolean(flag) => Ok(*flag),
        _ => refuse(field, "type", "true or false was expected"),
    }
}

fn seconds(field: &str, value: &Bson) -> Result<u64> {
    match number(value) {
        Some(seconds) if seconds >= 0.0 && seconds.fract() == 0.0 => Ok(seconds as u64),
        _ => refuse(field, "type", "a whole number of seconds was expected"),
    }
}

fn number(value: &Bson) -> Option<f64> {
    match value {
        Bson::Int32(number) => Some(f64::from(*number)),
        Bson::Int64(number) => Some(*number as f64),
        Bson::Double(number) => Some(*number),
        _ => None,
    }
}
