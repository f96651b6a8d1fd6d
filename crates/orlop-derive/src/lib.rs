//! The derives of Orlop: `Document`, `Embedded` and `Value`.
//!
//! Use them through `orlop::document`. Every path in their output is whole, so nothing has to be
//! imported; `#[document(crate = "..")]` names another path to the library.

mod attributes;
mod codec;
mod document;
mod fields;
mod index;
mod model;
mod names;
mod value;
mod variants;

use proc_macro::TokenStream;
use syn::{Data, DeriveInput, parse_macro_input};

/// Makes a struct the documents of a collection, or an enum of such structs its variants.
///
/// Emits `Serialize` and `Deserialize` too: the names of the fields are said once, here. Do not
/// derive them beside it.
///
/// On the type, in `#[document(..)]`:
/// - `collection = ".."`: the name of the collection. Required.
/// - `rename_all = ".."`: the case of stored names; `camelCase` for fields by default.
/// - `timestamps`, `timestamps(created = field, updated = field)`: instants the collection keeps;
///   `created_at` and `updated_at` by default.
/// - `scope(field, ..)`, as often as needed: cached queries that pin these fields by equality
///   depend on documents with the same values alone.
/// - `cache = "off" | "cache_aside" | "write_through"`, `cache_ttl_ms = n`, `compress`,
///   `shard_key(field, ..)`, `external_writers`.
/// - `check = path`: a function `fn(&Self) -> Result<(), impl Display>` run on typed writes.
/// - `no_accessors`: no `Task::title()`; the fields are reached by `find_by(|t| t.title()..)` alone.
/// - `tag = ".."`: on an enum, the stored field that names the variant.
///
/// On the type: `#[index(field, other desc, nested.field, unique, sparse, ttl = seconds, name = "..")]`.
///
/// On a field, in `#[document(..)]`:
/// - `id`, `version`: the id, and the revision the document was read at.
/// - `rename = ".."`, `alias = ".."`, `accessor = ".."`.
/// - `default`, `default = expression`, `default = now`: the value where it is missing.
/// - `sensitive`, `opaque`.
/// - `references = Type`, `on_delete = restrict | cascade | set_null`.
/// - `required`, `length(min = n, max = n)`, `range(min = n, max = n)`, `pattern = ".."`, `email`,
///   `each(..)` with these for the elements of an array, and `check = path`.
///
/// On a variant: `rename = ".."`, and `unknown` on the one that holds a `bson::Document` with
/// whatever a newer program wrote.
#[proc_macro_derive(Document, attributes(document, index))]
pub fn derive_document(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    let output = match &input.data {
        Data::Struct(_) => document::derive(&input),
        Data::Enum(_) => variants::derive(&input),
        Data::Union(_) => Err(syn::Error::new_spanned(
            &input.ident,
            "a union cannot be stored",
        )),
    };
    output.unwrap_or_else(syn::Error::into_compile_error).into()
}

/// Makes a struct a value of a field: an embedded document with typed fields of its own.
///
/// Takes the field attributes of `Document` but `id`, `version` and `references`, and `rename_all`.
#[proc_macro_derive(Embedded, attributes(document))]
pub fn derive_embedded(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    document::derive_embedded(&input)
        .unwrap_or_else(syn::Error::into_compile_error)
        .into()
}

/// Makes a plain enum (stored as the name of its variant) or a newtype (stored as what is inside)
/// a value of a field.
///
/// `rename_all = ".."` and, on a variant, `rename = ".."` give the stored names; they are as
/// written by default. `#[document(unknown)]` on a variant that holds a `String` keeps names that
/// a newer program wrote. `#[document(opaque)]` on the type: it has serde's traits already, and is
/// stored through them.
#[proc_macro_derive(Value, attributes(document))]
pub fn derive_value(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    value::derive(&input)
        .unwrap_or_else(syn::Error::into_compile_error)
        .into()
}
