//! `#[derive(Document)]` on a struct, and `#[derive(Embedded)]`.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{DeriveInput, LitStr, Result};

use crate::attributes::{Container, Rule};
use crate::index::FieldPath;
use crate::model::{FieldModel, Model};
use crate::{codec, fields};

pub(crate) fn derive(input: &DeriveInput) -> Result<TokenStream> {
    let model = Model::read(input)?;
    let (name, lib) = (&model.ident, &model.of.root);
    let Some(collection) = &model.of.collection else {
        return Err(syn::Error::new(
            name.span(),
            format!("`{name}` has no collection: say `#[document(collection = \"..\")]`"),
        ));
    };
    let id = id(&model)?;
    let (id_name, id_type) = (&id.ident, &id.ty);
    let stored = model.fields.iter().map(|field| &field.stored);
    let shape = shape(&model);
    let declaration = declaration(&model)?;
    let version = version(&model);
    let references = references(&model)?;
    let check = check(&model);
    let codec = codec::derive(&model);
    let structure = fields::structure(&model, false);
    let accessors = fields::accessors(&model);
    let fields = fields::struct_name(name);
    Ok(quote! {
        #structure
        #accessors
        const _: () = {
            #codec
            #shape

            #[automatically_derived]
            impl #lib::document::Document for #name {
                const COLLECTION: &'static str = #collection;
                const FIELDS: &'static [&'static str] = &[#(#stored),*];
                type Id = #id_type;
                type Fields = #fields<#name>;

                fn id(&self) -> #id_type {
                    ::core::clone::Clone::clone(&self.#id_name)
                }
                fn shape() -> &'static #lib::document::Shape {
                    &__SHAPE
                }
                #declaration
                #version
                #references
                fn check(&self, __errors: &mut ::std::vec::Vec<#lib::FieldError>) {
                    let __path = "";
                    #check
                }
            }
        };
    })
}

pub(crate) fn derive_embedded(input: &DeriveInput) -> Result<TokenStream> {
    let model = Model::read(input)?;
    let (name, lib) = (&model.ident, &model.of.root);
    let support = quote!(#lib::document::support);
    for field in &model.fields {
        let said = &field.said;
        if said.id || said.version || said.references.is_some() {
            return Err(syn::Error::new(
                field.ident.span(),
                "`id`, `version` and `references` are said of the fields of a document, not of an embedded one",
            ));
        }
    }
    let shape = shape(&model);
    let schema = schema(&model);
    let defaults = defaults(&model);
    let sensitive = sensitive(&model);
    let check = check(&model);
    let codec = codec::derive(&model);
    let structure = fields::structure(&model, true);
    let fields = fields::struct_name(name);
    Ok(quote! {
        #structure
        const _: () = {
            #codec
            #shape

            #[automatically_derived]
            impl #lib::document::Value for #name {
                type Field<__R> = #fields<__R>;
                const NESTED: ::core::option::Option<fn() -> &'static #lib::document::Shape> =
                    ::core::option::Option::Some(|| &__SHAPE);
                fn schema() -> #support::bson::Document {
                    #schema
                }
                fn read<'de, __D: #support::serde::Deserializer<'de>>(
                    deserializer: __D,
                ) -> ::core::result::Result<Self, __D::Error> {
                    __read(deserializer)
                }
                fn missing() -> ::core::option::Option<Self> {
                    #support::from_nothing(__read)
                }
                fn defaults(__path: &str, __defaults: &mut #support::bson::Document) {
                    #defaults
                }
                fn sensitive(__path: &str, __sensitive: &mut ::std::vec::Vec<::std::string::String>) {
                    #sensitive
                }
                fn check(&self, __path: &str, __errors: &mut ::std::vec::Vec<#lib::FieldError>) {
                    #check
                }
            }
        };
    })
}

fn id(model: &Model) -> Result<&FieldModel> {
    let mut ids = model.fields.iter().filter(|field| field.said.id);
    let name = &model.ident;
    let id = ids.next().ok_or_else(|| {
        syn::Error::new(
            name.span(),
            format!("`{name}` has no id: mark one field `#[document(id)]`"),
        )
    })?;
    match ids.next() {
        Some(other) => Err(syn::Error::new(
            other.ident.span(),
            format!("`{name}` has two ids: `{}` and `{}`", id.ident, other.ident),
        )),
        None => Ok(id),
    }
}

fn shape(model: &Model) -> TokenStream {
    let lib = &model.of.root;
    let support = quote!(#lib::document::support);
    let known = model
        .fields
        .iter()
        .filter(|field| !field.said.version)
        .map(|field| {
            let (ty, stored) = (&field.ty, &field.stored);
            let nested = match field.said.opaque {
                true => quote!(::core::option::Option::None),
                false => quote_spanned!(ty.span()=> <#ty as #lib::document::Value>::NESTED),
            };
            let default = match field.default_value(lib) {
                _ if field.is_now() || field.stamp || field.said.id => {
                    quote!(::core::option::Option::None)
                }
                Some(value) => quote!(::core::option::Option::Some(|| {
                    let value: #ty = #value;
                    #support::bson_of(::core::option::Option::Some(&value))
                })),
                None if field.said.opaque => quote!(::core::option::Option::None),
                None => quote!(::core::option::Option::Some(#support::bson_of_missing::<#ty>)),
            };
            let again = match field.said.opaque {
                true => quote_spanned!(ty.span()=> #support::again_opaque::<#ty>),
                false => quote_spanned!(ty.span()=> #support::again::<#ty>),
            };
            quote!(#lib::document::Known {
                name: #stored,
                nested: #nested,
                default: #default,
                again: ::core::option::Option::Some(#again),
            })
        });
    quote! {
        static __SHAPE: #lib::document::Shape = #lib::document::Shape { fields: &[#(#known),*] };
    }
}

/// An expression for the schema.
pub(crate) fn schema(model: &Model) -> TokenStream {
    let lib = &model.of.root;
    let support = quote!(#lib::document::support);
    let fields = model.fields.iter().filter(|field| !field.said.version).map(|field| {
        let (ty, stored, said) = (&field.ty, &field.stored, &field.said);
        let span = ty.span();
        let start = match said.opaque {
            true => quote!(#support::bson::Document::new()),
            false => quote_spanned!(span=> <#ty as #lib::document::Value>::schema()),
        };
        let required = said.required.then(|| quote!(#support::required(&mut schema);));
        let rules = said.rules.iter().map(|rule| add_rule(rule, &quote!(&mut schema), &support));
        let each = said
            .each
            .iter()
            .map(|rule| add_rule(rule, &quote!(#support::items(&mut schema)), &support));
        let needed = if said.default.is_some() || field.stamp {
            quote!(false)
        } else if said.required || said.id {
            quote!(true)
        } else if said.opaque {
            quote!(#support::opaque_missing::<#ty, #support::serde::de::value::Error>("").is_err())
        } else {
            quote_spanned!(span=> <#ty as #lib::document::Value>::missing().is_none())
        };
        quote!((#stored, {
            #[allow(unused_mut)]
            let mut schema = #start;
            #required
            #(#rules)*
            #(#each)*
            schema
        }, #needed))
    });
    quote!(#support::object(::std::vec![#(#fields),*]))
}

fn add_rule(rule: &Rule, schema: &TokenStream, support: &TokenStream) -> TokenStream {
    let option = |bound: &Option<syn::Expr>| match bound {
        Some(bound) => quote!(::core::option::Option::Some(#bound)),
        None => quote!(::core::option::Option::None),
    };
    match rule {
        Rule::Length(min, max) => {
            let (min, max) = (option(min), option(max));
            quote!(#support::length(#schema, #min, #max);)
        }
        Rule::Range(min, max) => {
            let bound = |word: &str, bound: &Option<syn::Expr>| {
                bound
                    .as_ref()
                    .map(|bound| quote!(#support::rule(#schema, #word, #bound);))
            };
            let (min, max) = (bound("minimum", min), bound("maximum", max));
            quote!(#min #max)
        }
        Rule::Pattern(pattern) => quote!(#support::rule(#schema, "pattern", #pattern);),
        Rule::Email => quote!(#support::rule(#schema, "format", "email");),
    }
}

/// Statements that add the defaults to `__defaults`, below `__path`.
fn defaults(model: &Model) -> TokenStream {
    let lib = &model.of.root;
    let support = quote!(#lib::document::support);
    let each = model
        .fields
        .iter()
        .filter(|field| !field.said.id && !field.said.version)
        .map(|field| {
            let (ty, stored) = (&field.ty, &field.stored);
            let at = quote!(#support::below(__path, #stored));
            if field.is_now() {
                return quote!(__defaults.insert(#at, #lib::document::Declaration::NOW););
            }
            match (&field.said.default, field.default_value(lib)) {
                (Some(_), Some(value)) => quote! {
                    let value: #ty = #value;
                    let value = #support::bson_of(::core::option::Option::Some(&value));
                    #support::add_default(__defaults, #at, value);
                },
                _ if field.said.opaque => TokenStream::new(),
                _ => quote_spanned! {ty.span()=>
                    <#ty as #lib::document::Value>::defaults(&#at, __defaults);
                },
            }
        });
    quote!(#(#each)*)
}

fn sensitive(model: &Model) -> TokenStream {
    let lib = &model.of.root;
    let each = model.fields.iter().map(|field| {
        let (ty, stored) = (&field.ty, &field.stored);
        let at = quote!(#lib::document::support::below(__path, #stored));
        if field.said.sensitive {
            quote!(__sensitive.push(#at);)
        } else if field.said.opaque {
            TokenStream::new()
        } else {
            quote_spanned!(ty.span()=> <#ty as #lib::document::Value>::sensitive(&#at, __sensitive);)
        }
    });
    quote!(#(#each)*)
}

fn check(model: &Model) -> TokenStream {
    let lib = &model.of.root;
    let support = quote!(#lib::document::support);
    let each = model.fields.iter().map(|field| {
        let (ident, ty, stored) = (&field.ident, &field.ty, &field.stored);
        let at = quote!(&#support::below(__path, #stored));
        let own = field.said.checks.iter().map(|function| {
            quote_spanned!(function.span()=> #support::checked(#function(&self.#ident), #at, __errors);)
        });
        let inside = (!field.said.opaque && !is_plain(ty)).then(|| {
            quote_spanned!(ty.span()=> <#ty as #lib::document::Value>::check(&self.#ident, #at, __errors);)
        });
        quote!(#(#own)* #inside)
    });
    let whole = model.of.checks.iter().map(|function| {
        quote_spanned!(function.span()=> #support::checked(#function(self), __path, __errors);)
    });
    quote!(#(#each)* #(#whole)*)
}

/// Types with nothing inside to check, told by their names to spare the paths of most fields.
fn is_plain(ty: &syn::Type) -> bool {
    let syn::Type::Path(path) = ty else {
        return false;
    };
    let Some(last) = path.path.segments.last() else {
        return false;
    };
    matches!(
        last.ident.to_string().as_str(),
        "String"
            | "bool"
            | "i32"
            | "i64"
            | "u16"
            | "u32"
            | "u64"
            | "f32"
            | "f64"
            | "Id"
            | "Timestamp"
            | "Date"
    )
}

fn version(model: &Model) -> TokenStream {
    let lib = &model.of.root;
    let Some(field) = model.fields.iter().find(|field| field.said.version) else {
        return TokenStream::new();
    };
    let (ident, ty) = (&field.ident, &field.ty);
    quote_spanned! {ty.span()=>
        fn version(&self) -> ::core::option::Option<#lib::document::Revision> {
            let version: #lib::document::Revision = self.#ident;
            ::core::option::Option::Some(version)
        }
        fn set_version(&mut self, revision: #lib::document::Revision) {
            self.#ident = revision;
        }
    }
}

fn references(model: &Model) -> Result<TokenStream> {
    let lib = &model.of.root;
    let mut all = Vec::new();
    for field in &model.fields {
        let Some(target) = &field.said.references else {
            continue;
        };
        let (ty, stored) = (&field.ty, &field.stored);
        let rule = match field
            .said
            .on_delete
            .as_ref()
            .map(|rule| (rule, rule.to_string()))
        {
            None => quote!(#lib::document::OnDelete::Ignore),
            Some((_, rule)) if rule == "restrict" => quote!(#lib::document::OnDelete::Restrict),
            Some((_, rule)) if rule == "cascade" => quote!(#lib::document::OnDelete::Cascade),
            Some((rule, name)) if name == "set_null" => {
                quote_spanned!(rule.span()=> #lib::document::support::set_null::<#ty>())
            }
            Some((rule, _)) => {
                return Err(syn::Error::new(
                    rule.span(),
                    "`restrict`, `cascade` or `set_null` was expected",
                ));
            }
        };
        all.push(quote_spanned! {target.span()=>
            #lib::document::Reference {
                path: #stored,
                collection: <#target as #lib::document::Document>::COLLECTION,
                on_delete: #rule,
            }
        });
    }
    if all.is_empty() {
        return Ok(TokenStream::new());
    }
    Ok(quote! {
        fn references() -> &'static [#lib::document::Reference] {
            const REFERENCES: &[#lib::document::Reference] = &[#(#all),*];
            REFERENCES
        }
    })
}

fn declaration(model: &Model) -> Result<TokenStream> {
    let lib = &model.of.root;
    let resolve = |path: &FieldPath| fields::path(model, path);
    let rest = container(&model.of, &resolve)?;
    let timestamps = timestamps(model)?;
    let (schema, defaults, sensitive) = (schema(model), defaults(model), sensitive(model));
    Ok(quote! {
        fn declaration() -> &'static #lib::document::Declaration {
            static DECLARATION: ::std::sync::OnceLock<#lib::document::Declaration> =
                ::std::sync::OnceLock::new();
            DECLARATION.get_or_init(|| {
                let __path = "";
                let mut __declaration = #lib::document::Declaration::default();
                __declaration.schema = ::core::option::Option::Some(#schema);
                { let __defaults = &mut __declaration.defaults; #defaults }
                { let __sensitive = &mut __declaration.sensitive; #sensitive }
                #timestamps
                #rest
                __declaration
            })
        }
    })
}

fn timestamps(model: &Model) -> Result<TokenStream> {
    let lib = &model.of.root;
    let Some(stamps) = &model.of.timestamps else {
        return Ok(TokenStream::new());
    };
    let name = |ident: &Option<syn::Ident>, usual: &str| -> Result<TokenStream> {
        let Some(ident) = ident else {
            return Ok(quote!(::core::option::Option::None));
        };
        let stored = match model.field(ident) {
            Ok(field) => field.stored.clone(),
            // The usual names are kept by the collection even where the type does not read them.
            Err(_) if ident == usual => crate::names::Case::Camel.apply(usual),
            Err(error) => return Err(error),
        };
        Ok(quote!(::core::option::Option::Some(::std::string::String::from(#stored))))
    };
    let created = name(&stamps.created, "created_at")?;
    let updated = name(&stamps.updated, "updated_at")?;
    Ok(quote! {
        __declaration.timestamps = ::core::option::Option::Some(#lib::document::Timestamps {
            created: #created,
            updated: #updated,
        });
    })
}

/// Statements that add what is said of the type: indexes, scopes, policy.
pub(crate) fn container(
    of: &Container,
    resolve: &dyn Fn(&FieldPath) -> Result<TokenStream>,
) -> Result<TokenStream> {
    let lib = &of.root;
    let mut statements = Vec::new();
    for index in &of.indexes {
        let mut keys = Vec::new();
        for (path, descending) in &index.keys {
            let path = resolve(path)?;
            let direction = if *descending {
                quote!(Descending)
            } else {
                quote!(Ascending)
            };
            keys.push(quote!((#path, #lib::document::Direction::#direction)));
        }
        let (unique, sparse) = (index.unique, index.sparse);
        if let Some(ttl) = &index.ttl
            && index.keys.len() != 1
        {
            return Err(syn::Error::new(
                ttl.span(),
                "an index that expires documents has one key",
            ));
        }
        let ttl = index
            .ttl
            .as_ref()
            .map(|ttl| quote!(__index.expire_after_seconds = ::core::option::Option::Some(#ttl);));
        let name = index
            .name
            .as_ref()
            .map(|name| quote!(__index.name = ::std::string::String::from(#name);));
        statements.push(quote! {
            let mut __index = #lib::document::IndexSpec::on([#(#keys),*]);
            __index.unique = #unique;
            __index.sparse = #sparse;
            #ttl
            #name
            __declaration.indexes.push(__index);
        });
    }
    for scope in &of.scopes {
        let paths = scope.iter().map(resolve).collect::<Result<Vec<_>>>()?;
        statements.push(quote!(__declaration.scopes.push(::std::vec![#(#paths),*]);));
    }
    let shard = of
        .shard_key
        .iter()
        .map(resolve)
        .collect::<Result<Vec<_>>>()?;
    let (compress, external) = (of.compress, of.external_writers);
    let cache = of.cache.as_ref().map(cache_mode).transpose()?;
    let cache =
        cache.map(|mode| quote!(__declaration.policy.cache = #lib::document::CacheMode::#mode;));
    let ttl = of
        .cache_ttl_ms
        .as_ref()
        .map(|ttl| quote!(__declaration.policy.ttl_ms = ::core::option::Option::Some(#ttl);));
    Ok(quote! {
        #(#statements)*
        __declaration.shard_key = ::std::vec![#(#shard),*];
        __declaration.compress = #compress;
        __declaration.external_writers = #external;
        #cache
        #ttl
    })
}

fn cache_mode(name: &LitStr) -> Result<TokenStream> {
    match name.value().as_str() {
        "off" => Ok(quote!(Off)),
        "cache_aside" => Ok(quote!(CacheAside)),
        "write_through" => Ok(quote!(WriteThrough)),
        _ => Err(syn::Error::new(
            name.span(),
            "`off`, `cache_aside` or `write_through` was expected",
        )),
    }
}
