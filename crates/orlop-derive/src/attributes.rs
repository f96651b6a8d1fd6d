//! Reading `#[document(..)]`.

use syn::meta::ParseNestedMeta;
use syn::punctuated::Punctuated;
use syn::{Attribute, Expr, Ident, LitInt, LitStr, Path, Result, Token, Type, parenthesized};

use crate::index::{FieldPath, Index};
use crate::names::Case;

/// What is said of a type.
pub(crate) struct Container {
    pub(crate) root: Path,
    pub(crate) collection: Option<LitStr>,
    pub(crate) rename_all: Option<Case>,
    pub(crate) timestamps: Option<Stamps>,
    pub(crate) scopes: Vec<Vec<FieldPath>>,
    pub(crate) shard_key: Vec<FieldPath>,
    pub(crate) cache: Option<LitStr>,
    pub(crate) cache_ttl_ms: Option<LitInt>,
    pub(crate) compress: bool,
    pub(crate) external_writers: bool,
    pub(crate) no_accessors: bool,
    pub(crate) opaque: bool,
    pub(crate) tag: Option<LitStr>,
    pub(crate) checks: Vec<Path>,
    pub(crate) indexes: Vec<Index>,
}

/// The fields that hold the instants a collection keeps.
pub(crate) struct Stamps {
    pub(crate) created: Option<Ident>,
    pub(crate) updated: Option<Ident>,
}

/// What is said of a field or a variant.
#[derive(Default)]
pub(crate) struct Member {
    pub(crate) id: bool,
    pub(crate) version: bool,
    pub(crate) rename: Option<LitStr>,
    pub(crate) aliases: Vec<LitStr>,
    pub(crate) accessor: Option<LitStr>,
    pub(crate) default: Option<Default>,
    pub(crate) sensitive: bool,
    pub(crate) opaque: bool,
    pub(crate) unknown: bool,
    pub(crate) references: Option<Type>,
    pub(crate) on_delete: Option<Ident>,
    pub(crate) required: bool,
    pub(crate) rules: Vec<Rule>,
    pub(crate) each: Vec<Rule>,
    pub(crate) checks: Vec<Path>,
}

/// What a missing field is.
pub(crate) enum Default {
    Trait,
    Now,
    Value(Box<Expr>),
}

/// A rule a value must meet.
pub(crate) enum Rule {
    Length(Option<Expr>, Option<Expr>),
    Range(Option<Expr>, Option<Expr>),
    Pattern(LitStr),
    Email,
}

const CONTAINER: &str = "collection, rename_all, timestamps, scope(..), shard_key(..), cache, cache_ttl_ms, compress, external_writers, check, no_accessors, tag, opaque, crate";
const MEMBER: &str = "id, version, rename, alias, accessor, default, sensitive, opaque, references, on_delete, required, length(..), range(..), pattern, email, each(..), check, unknown";

impl Container {
    pub(crate) fn read(attributes: &[Attribute]) -> Result<Self> {
        refuse_serde(attributes)?;
        let mut read = Self {
            root: syn::parse_quote!(::orlop),
            collection: None,
            rename_all: None,
            timestamps: None,
            scopes: Vec::new(),
            shard_key: Vec::new(),
            cache: None,
            cache_ttl_ms: None,
            compress: false,
            external_writers: false,
            no_accessors: false,
            opaque: false,
            tag: None,
            checks: Vec::new(),
            indexes: Vec::new(),
        };
        for attribute in attributes {
            if attribute.path().is_ident("index") {
                read.indexes.push(attribute.parse_args()?);
            } else if attribute.path().is_ident("document") {
                attribute.parse_nested_meta(|meta| read.word(&meta))?;
            }
        }
        Ok(read)
    }

    fn word(&mut self, meta: &ParseNestedMeta<'_>) -> Result<()> {
        match word(meta).as_str() {
            "crate" => {
                let path: LitStr = meta.value()?.parse()?;
                self.root = path.parse_with(Path::parse_mod_style)?;
            }
            "collection" => self.collection = Some(meta.value()?.parse()?),
            "rename_all" => self.rename_all = Some(Case::parse(&meta.value()?.parse()?)?),
            "timestamps" => self.timestamps = Some(stamps(meta)?),
            "scope" => self.scopes.push(paths(meta)?),
            "shard_key" => self.shard_key = paths(meta)?,
            "cache" => self.cache = Some(meta.value()?.parse()?),
            "cache_ttl_ms" => self.cache_ttl_ms = Some(meta.value()?.parse()?),
            "compress" => self.compress = true,
            "external_writers" => self.external_writers = true,
            "no_accessors" => self.no_accessors = true,
            "opaque" => self.opaque = true,
            "tag" => self.tag = Some(meta.value()?.parse()?),
            "check" => self.checks.push(meta.value()?.parse()?),
            other => return Err(unknown(meta, other, "a type", CONTAINER)),
        }
        Ok(())
    }
}

impl Member {
    pub(crate) fn read(attributes: &[Attribute]) -> Result<Self> {
        refuse_serde(attributes)?;
        let mut read = Self::default();
        for attribute in attributes {
            if attribute.path().is_ident("document") {
                attribute.parse_nested_meta(|meta| read.word(&meta))?;
            } else if attribute.path().is_ident("index") {
                return Err(syn::Error::new_spanned(
                    attribute,
                    "an index is said on the type: `#[index(field)]` above `struct`",
                ));
            }
        }
        if let Some(rule) = &read.on_delete
            && read.references.is_none()
        {
            return Err(syn::Error::new(
                rule.span(),
                "`on_delete` needs `references = Type`",
            ));
        }
        Ok(read)
    }

    fn word(&mut self, meta: &ParseNestedMeta<'_>) -> Result<()> {
        match word(meta).as_str() {
            "id" => self.id = true,
            "version" => self.version = true,
            "rename" => self.rename = Some(meta.value()?.parse()?),
            "alias" => self.aliases.push(meta.value()?.parse()?),
            "accessor" => self.accessor = Some(meta.value()?.parse()?),
            "default" if !meta.input.peek(Token![=]) => self.default = Some(Default::Trait),
            "default" => {
                let value: Expr = meta.value()?.parse()?;
                self.default = Some(match &value {
                    Expr::Path(path) if path.path.is_ident("now") => Default::Now,
                    _ => Default::Value(Box::new(value)),
                });
            }
            "sensitive" => self.sensitive = true,
            "opaque" => self.opaque = true,
            "unknown" => self.unknown = true,
            "references" => self.references = Some(meta.value()?.parse()?),
            "on_delete" => self.on_delete = Some(meta.value()?.parse()?),
            "required" | "non_empty" => self.required = true,
            "each" => {
                let each = &mut self.each;
                meta.parse_nested_meta(|meta| match rule(&meta)? {
                    Some(rule) => {
                        each.push(rule);
                        Ok(())
                    }
                    None => Err(meta.error("length(..), range(..), pattern or email was expected")),
                })?;
            }
            "check" => self.checks.push(meta.value()?.parse()?),
            "flatten" => {
                return Err(meta.error(
                    "`flatten` is refused: a field would have two names. Nest the struct with `#[derive(Embedded)]`, or repeat its fields",
                ));
            }
            other => match rule(meta)? {
                Some(rule) => self.rules.push(rule),
                None => return Err(unknown(meta, other, "a field or variant", MEMBER)),
            },
        }
        Ok(())
    }
}

fn word(meta: &ParseNestedMeta<'_>) -> String {
    meta.path
        .get_ident()
        .map(ToString::to_string)
        .unwrap_or_default()
}

fn unknown(meta: &ParseNestedMeta<'_>, word: &str, of: &str, known: &str) -> syn::Error {
    meta.error(format!("unknown word `{word}` of {of}; known are: {known}"))
}

fn rule(meta: &ParseNestedMeta<'_>) -> Result<Option<Rule>> {
    Ok(Some(match word(meta).as_str() {
        "length" => {
            let (min, max) = bounds(meta)?;
            Rule::Length(min, max)
        }
        "range" => {
            let (min, max) = bounds(meta)?;
            Rule::Range(min, max)
        }
        "pattern" => Rule::Pattern(meta.value()?.parse()?),
        "email" => Rule::Email,
        _ => return Ok(None),
    }))
}

fn bounds(meta: &ParseNestedMeta<'_>) -> Result<(Option<Expr>, Option<Expr>)> {
    let (mut min, mut max) = (None, None);
    meta.parse_nested_meta(|meta| {
        match word(&meta).as_str() {
            "min" => min = Some(meta.value()?.parse()?),
            "max" => max = Some(meta.value()?.parse()?),
            _ => return Err(meta.error("`min = n` or `max = n` was expected")),
        }
        Ok(())
    })?;
    if min.is_none() && max.is_none() {
        return Err(meta.error("`min = n` or `max = n` was expected"));
    }
    Ok((min, max))
}

fn paths(meta: &ParseNestedMeta<'_>) -> Result<Vec<FieldPath>> {
    let inside;
    parenthesized!(inside in meta.input);
    let paths = Punctuated::<FieldPath, Token![,]>::parse_terminated(&inside)?;
    if paths.is_empty() {
        return Err(meta.error("a field was expected"));
    }
    Ok(paths.into_iter().collect())
}

fn stamps(meta: &ParseNestedMeta<'_>) -> Result<Stamps> {
    let usual = |name: &str| Some(Ident::new(name, proc_macro2::Span::call_site()));
    if !meta.input.peek(syn::token::Paren) {
        return Ok(Stamps {
            created: usual("created_at"),
            updated: usual("updated_at"),
        });
    }
    let mut stamps = Stamps {
        created: None,
        updated: None,
    };
    meta.parse_nested_meta(|meta| {
        let (kept, name) = match word(&meta).as_str() {
            "created" => (&mut stamps.created, "created_at"),
            "updated" => (&mut stamps.updated, "updated_at"),
            _ => return Err(meta.error("`created` or `updated` was expected")),
        };
        *kept = match meta.input.peek(Token![=]) {
            true => Some(meta.value()?.parse()?),
            false => usual(name),
        };
        Ok(())
    })?;
    Ok(stamps)
}

fn refuse_serde(attributes: &[Attribute]) -> Result<()> {
    match attributes
        .iter()
        .find(|attribute| attribute.path().is_ident("serde"))
    {
        Some(attribute) => Err(syn::Error::new_spanned(
            attribute,
            "names are said once: say it in `#[document(..)]`, which writes serde's traits too",
        )),
        None => Ok(()),
    }
}
