//! `#[derive(Document)]` on an enum: the variants of one collection.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Data, DeriveInput, Fields, Ident, LitStr, Result, Type};

use crate::attributes::{Container, Member};
use crate::document::container;
use crate::fields::struct_name;
use crate::index::FieldPath;
use crate::names::Case;

struct Enum<'a> {
    ident: &'a Ident,
    vis: &'a syn::Visibility,
    of: Container,
    collection: LitStr,
    tag: LitStr,
    variants: Vec<Variant<'a>>,
    unknown: Option<(&'a Ident, &'a Type)>,
}

struct Variant<'a> {
    ident: &'a Ident,
    ty: &'a Type,
    stored: String,
}

pub(crate) fn derive(input: &DeriveInput) -> Result<TokenStream> {
    let model = read(input)?;
    let codec = codec(&model);
    let checks = compile_checks(&model)?;
    let document = document(&model)?;
    let variants = variant_impls(&model);
    let accessors = accessors(&model);
    Ok(quote! {
        #accessors
        const _: () = {
            #checks
            #codec
            #document
            #variants
        };
    })
}

fn read(input: &DeriveInput) -> Result<Enum<'_>> {
    let ident = &input.ident;
    let of = Container::read(&input.attrs)?;
    let Some(collection) = of.collection.clone() else {
        let why = format!(
            "`{ident}` has no collection: say `#[document(collection = \"..\", tag = \"..\")]`"
        );
        return Err(syn::Error::new(ident.span(), why));
    };
    let Some(tag) = of.tag.clone() else {
        let why = format!(
            "`{ident}` has no tag: say which stored field names the variant, `#[document(tag = \"type\")]`"
        );
        return Err(syn::Error::new(ident.span(), why));
    };
    let Data::Enum(data) = &input.data else {
        return Err(syn::Error::new_spanned(ident, "an enum was expected"));
    };
    let case = of.rename_all.unwrap_or(Case::AsWritten);
    let (mut variants, mut unknown) = (Vec::<Variant<'_>>::new(), None);
    for variant in &data.variants {
        let said = Member::read(&variant.attrs)?;
        let ty = match &variant.fields {
            Fields::Unnamed(fields) if fields.unnamed.len() == 1 => &fields.unnamed[0].ty,
            _ => {
                return Err(syn::Error::new_spanned(
                    variant,
                    "a variant of a collection holds one struct that derives `Document`, as in `Create(Create)`",
                ));
            }
        };
        if said.unknown {
            unknown = Some((&variant.ident, ty));
            continue;
        }
        let stored = match &said.rename {
            Some(stored) => stored.value(),
            None => case.apply(&variant.ident.to_string()),
        };
        if let Some(other) = variants.iter().find(|other| other.stored == stored) {
            let why = format!(
                "`{}` and `{}` are both stored as `{stored}`",
                other.ident, variant.ident
            );
            return Err(syn::Error::new(variant.ident.span(), why));
        }
        variants.push(Variant {
            ident: &variant.ident,
            ty,
            stored,
        });
    }
    if variants.is_empty() {
        return Err(syn::Error::new(
            ident.span(),
            format!("`{ident}` has no variant"),
        ));
    }
    Ok(Enum {
        ident,
        vis: &input.vis,
        of,
        collection,
        tag,
        variants,
        unknown,
    })
}

/// One collection, one type of id, and indexes on fields that some variant has.
fn compile_checks(model: &Enum<'_>) -> Result<TokenStream> {
    let (lib, name, collection) = (&model.of.root, model.ident, &model.collection);
    let first = model.variants[0].ty;
    let each = model.variants.iter().map(|variant| {
        let ty = variant.ty;
        let message = format!(
            "variant `{}` of `{name}` is of another collection than \"{}\"",
            variant.ident,
            collection.value()
        );
        quote_spanned! {ty.span()=>
            const _: () = ::core::assert!(
                #lib::document::support::same(<#ty as #lib::document::Document>::COLLECTION, #collection),
                #message
            );
            const _: fn() = || {
                fn same_id<__V: #lib::document::support::SameId<#first>>() {}
                same_id::<#ty>();
            };
        }
    });
    let mut known = Vec::new();
    let named = model
        .of
        .indexes
        .iter()
        .flat_map(|index| index.keys.iter().map(|(path, _)| path))
        .chain(model.of.scopes.iter().flatten())
        .chain(&model.of.shard_key);
    for path in named {
        let FieldPath::Names(names) = path else {
            continue;
        };
        let stored = stored_name(model, &names[0]);
        let lists = model.variants.iter().map(|variant| {
            let ty = variant.ty;
            quote!(<#ty as #lib::document::Document>::FIELDS)
        });
        let (tag, message) = (
            &model.tag,
            format!("no variant of `{name}` has a field stored as `{stored}`"),
        );
        known.push(quote_spanned! {names[0].span()=>
            const _: () = ::core::assert!(
                #lib::document::support::known(&[&[#tag, "_id"], #(#lists),*], #stored),
                #message
            );
        });
    }
    Ok(quote!(#(#each)* #(#known)*))
}

fn stored_name(model: &Enum<'_>, name: &Ident) -> String {
    use syn::ext::IdentExt;
    let written = name.unraw().to_string();
    match written.as_str() {
        "id" => "_id".to_owned(),
        _ if written == model.tag.value() => written,
        _ => Case::Camel.apply(&written),
    }
}

fn codec(model: &Enum<'_>) -> TokenStream {
    let (lib, name, tag) = (&model.of.root, model.ident, &model.tag);
    let support = quote!(#lib::document::support);
    let idents: Vec<_> = model.variants.iter().map(|variant| variant.ident).collect();
    let types: Vec<_> = model.variants.iter().map(|variant| variant.ty).collect();
    let stored: Vec<_> = model
        .variants
        .iter()
        .map(|variant| &variant.stored)
        .collect();
    let write_other = model.unknown.map(|(other, _)| {
        quote!(Self::#other(document) => #support::write_unknown(document, serializer),)
    });
    let first = types[0];
    let read_other = match model.unknown {
        Some((other, _)) => quote! {
            #support::read_unknown::<<#first as #lib::document::Document>::Id, __D::Error>(&whole)
                .map(#name::#other)
        },
        None => {
            let known = stored
                .iter()
                .map(|name| name.as_str())
                .collect::<Vec<_>>()
                .join(", ");
            let expected = format!("one of {known} was expected");
            quote! {
                ::core::result::Result::Err(#support::plain(
                    &#support::within::<__D::Error>(#tag, &#support::expected::<__D::Error>(#expected))
                ))
            }
        }
    };
    quote! {
        #[automatically_derived]
        impl #support::serde::Serialize for #name {
            fn serialize<__S: #support::serde::Serializer>(
                &self,
                serializer: __S,
            ) -> ::core::result::Result<__S::Ok, __S::Error> {
                match self {
                    #(Self::#idents(inner) => #support::write_variant(#tag, #stored, inner, serializer),)*
                    #write_other
                }
            }
        }

        #[automatically_derived]
        impl<'de> #support::serde::Deserialize<'de> for #name {
            fn deserialize<__D: #support::serde::Deserializer<'de>>(
                deserializer: __D,
            ) -> ::core::result::Result<Self, __D::Error> {
                let text = #support::serde::Deserializer::is_human_readable(&deserializer);
                let whole = <#support::bson::RawDocumentBuf as #support::serde::Deserialize<'de>>::deserialize(deserializer)?;
                match #support::tag_of(&whole, #tag) {
                    #(::core::option::Option::Some(#stored) => {
                        #support::read_variant::<#types, __D::Error>(&whole, text).map(#name::#idents)
                    })*
                    _ => #read_other,
                }
            }
        }
    }
}

fn document(model: &Enum<'_>) -> Result<TokenStream> {
    let (lib, name, tag) = (&model.of.root, model.ident, &model.tag);
    let (collection, fields) = (&model.collection, struct_name(name));
    let support = quote!(#lib::document::support);
    let idents: Vec<_> = model.variants.iter().map(|variant| variant.ident).collect();
    let types: Vec<_> = model.variants.iter().map(|variant| variant.ty).collect();
    let stored: Vec<_> = model
        .variants
        .iter()
        .map(|variant| &variant.stored)
        .collect();
    let first = types[0];
    let fallback = model.unknown.is_some();
    let other = |body: TokenStream| {
        model
            .unknown
            .map(|(other, _)| quote!(Self::#other(unknown) => #body,))
    };
    let id = other(quote!(#support::unknown_id(unknown)));
    let keep = other(quote!({
        let _ = unknown;
        ::core::option::Option::None
    }));
    let version = other(quote!(#support::unknown_version(unknown)));
    let set_version = other(quote!({
        let _ = unknown;
    }));
    let check = other(quote!({
        let _ = unknown;
    }));
    let timestamps = enum_timestamps(model);
    let rest = container(&model.of, &|path| {
        Ok(match path {
            FieldPath::Stored(path) => quote!(::std::string::String::from(#path)),
            FieldPath::Names(names) => {
                let path = names
                    .iter()
                    .map(|name| stored_name(model, name))
                    .collect::<Vec<_>>()
                    .join(".");
                quote!(::std::string::String::from(#path))
            }
        })
    })?;
    Ok(quote! {
        #[automatically_derived]
        impl #lib::document::Document for #name {
            const COLLECTION: &'static str = #collection;
            const FIELDS: &'static [&'static str] = &["_id", #tag];
            type Id = <#first as #lib::document::Document>::Id;
            type Fields = #fields<#name>;

            fn id(&self) -> Self::Id {
                match self {
                    #(Self::#idents(inner) => #lib::document::Document::id(inner),)*
                    #id
                }
            }
            fn shape() -> &'static #lib::document::Shape {
                static SHAPE: ::std::sync::OnceLock<#lib::document::Shape> = ::std::sync::OnceLock::new();
                SHAPE.get_or_init(|| #support::joined_shape(
                    #tag,
                    &[#(<#types as #lib::document::Document>::shape()),*],
                ))
            }
            fn keep(&self) -> ::core::option::Option<&'static #lib::document::Shape> {
                match self {
                    #(Self::#idents(_) => {
                        static SHAPE: ::std::sync::OnceLock<#lib::document::Shape> = ::std::sync::OnceLock::new();
                        ::core::option::Option::Some(SHAPE.get_or_init(|| {
                            #support::joined_shape(#tag, &[<#types as #lib::document::Document>::shape()])
                        }))
                    })*
                    #keep
                }
            }
            fn version(&self) -> ::core::option::Option<#lib::document::Revision> {
                match self {
                    #(Self::#idents(inner) => #lib::document::Document::version(inner),)*
                    #version
                }
            }
            fn set_version(&mut self, revision: #lib::document::Revision) {
                match self {
                    #(Self::#idents(inner) => #lib::document::Document::set_version(inner, revision),)*
                    #set_version
                }
            }
            fn references() -> &'static [#lib::document::Reference] {
                static REFERENCES: ::std::sync::OnceLock<::std::vec::Vec<#lib::document::Reference>> =
                    ::std::sync::OnceLock::new();
                REFERENCES.get_or_init(|| #support::joined_references(
                    &[#(<#types as #lib::document::Document>::references()),*],
                ))
            }
            fn check(&self, errors: &mut ::std::vec::Vec<#lib::FieldError>) {
                match self {
                    #(Self::#idents(inner) => #lib::document::Document::check(inner, errors),)*
                    #check
                }
            }
            fn declaration() -> &'static #lib::document::Declaration {
                static DECLARATION: ::std::sync::OnceLock<#lib::document::Declaration> =
                    ::std::sync::OnceLock::new();
                DECLARATION.get_or_init(|| {
                    let mut __declaration = #support::joined_declaration(
                        #tag,
                        &[#((#stored, <#types as #lib::document::Document>::declaration())),*],
                        #fallback,
                    );
                    #timestamps
                    let __joined = ::core::mem::take(&mut __declaration.indexes);
                    let __scopes = ::core::mem::take(&mut __declaration.scopes);
                    #rest
                    #support::add_joined(&mut __declaration, __joined, __scopes);
                    __declaration
                })
            }
        }
    })
}

fn enum_timestamps(model: &Enum<'_>) -> Option<TokenStream> {
    let lib = &model.of.root;
    let stamps = model.of.timestamps.as_ref()?;
    let name = |ident: &Option<Ident>| match ident {
        Some(ident) => {
            let stored = stored_name(model, ident);
            quote!(::core::option::Option::Some(::std::string::String::from(#stored)))
        }
        None => quote!(::core::option::Option::None),
    };
    let (created, updated) = (name(&stamps.created), name(&stamps.updated));
    Some(quote! {
        __declaration.timestamps = ::core::option::Option::Some(#lib::document::Timestamps {
            created: #created,
            updated: #updated,
        });
    })
}

fn variant_impls(model: &Enum<'_>) -> TokenStream {
    let (lib, name, tag) = (&model.of.root, model.ident, &model.tag);
    let alone = model.variants.len() == 1 && model.unknown.is_none();
    let each = model.variants.iter().map(|variant| {
        let (ident, ty, stored) = (variant.ident, variant.ty, &variant.stored);
        let miss = (!alone).then(|| quote!(_ => ::core::option::Option::None,));
        quote_spanned! {ty.span()=>
            #[automatically_derived]
            impl #lib::document::VariantOf<#name> for #ty {
                const TAG: &'static str = #stored;
                const TAG_FIELD: &'static str = #tag;
                fn from_whole(whole: &#name) -> ::core::option::Option<&Self> {
                    match whole {
                        #name::#ident(inner) => ::core::option::Option::Some(inner),
                        #miss
                    }
                }
                fn into_whole(self) -> #name {
                    #name::#ident(self)
                }
            }
        }
    });
    quote!(#(#each)*)
}

/// `Event::id()`, `Event::tag()`, `Event::version()`.
fn accessors(model: &Enum<'_>) -> TokenStream {
    let (lib, name, vis, tag) = (&model.of.root, model.ident, model.vis, &model.tag);
    let (fields, first) = (struct_name(name), model.variants[0].ty);
    let title = format!("The fields of every [`{name}`], in a document of type `__R`.");
    let all = [
        (
            quote!(id),
            quote!(<#first as #lib::document::Document>::Id),
            quote!("_id"),
            "The id.",
        ),
        (
            quote!(tag),
            quote!(::std::string::String),
            quote!(#tag),
            "The name of the variant.",
        ),
        (
            quote!(version),
            quote!(#lib::document::Revision),
            quote!("_v"),
            "The revision of the stored document.",
        ),
    ];
    let methods = all.iter().map(|(method, ty, stored, docs)| {
        quote! {
            #[doc = #docs]
            #[allow(dead_code)]
            #vis fn #method(&self) -> #lib::document::Field<__R, #ty> {
                #lib::document::At::at(#lib::document::support::join(&self.path, #stored))
            }
        }
    });
    let functions = all.iter().map(|(method, ty, stored, docs)| {
        quote! {
            #[doc = #docs]
            #[allow(dead_code)]
            #vis fn #method() -> #lib::document::Field<#name, #ty> {
                #lib::document::At::at(::std::borrow::Cow::Borrowed(#stored))
            }
        }
    });
    let functions = (!model.of.no_accessors).then(|| quote!(impl #name { #(#functions)* }));
    quote! {
        #[doc = #title]
        #[allow(dead_code)]
        #vis struct #fields<__R> {
            path: ::std::borrow::Cow<'static, str>,
            of: ::core::marker::PhantomData<fn() -> __R>,
        }
        #[allow(dead_code)]
        impl<__R> #fields<__R> { #(#methods)* }
        #[automatically_derived]
        impl<__R> #lib::document::At for #fields<__R> {
            type Inner = Self;
            fn at(path: ::std::borrow::Cow<'static, str>) -> Self {
                Self { path, of: ::core::marker::PhantomData }
            }
            fn path(&self) -> &::std::borrow::Cow<'static, str> {
                &self.path
            }
        }
        #functions
    }
}
