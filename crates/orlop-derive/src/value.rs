//! `#[derive(Value)]`: plain enums, newtypes, and types stored through serde.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Data, DataEnum, DeriveInput, Fields, Ident, Result, Type};

use crate::attributes::{Container, Member};
use crate::names::Case;

pub(crate) fn derive(input: &DeriveInput) -> Result<TokenStream> {
    if !input.generics.params.is_empty() {
        return Err(syn::Error::new_spanned(
            &input.generics,
            "a stored type cannot be generic",
        ));
    }
    if opaque(input) {
        return Ok(stored_through_serde(input));
    }
    let of = Container::read(&input.attrs)?;
    match &input.data {
        Data::Enum(data) => plain_enum(&input.ident, &of, data),
        Data::Struct(data) => match &data.fields {
            Fields::Unnamed(fields) if fields.unnamed.len() == 1 => {
                Ok(newtype(&input.ident, &of, &fields.unnamed[0].ty))
            }
            _ => Err(syn::Error::new_spanned(
                &input.ident,
                "a plain enum or a newtype was expected; a struct with fields derives `Embedded`",
            )),
        },
        Data::Union(_) => Err(syn::Error::new_spanned(
            &input.ident,
            "a union cannot be stored",
        )),
    }
}

/// Told before the rest is read: such a type may carry serde's attributes.
fn opaque(input: &DeriveInput) -> bool {
    let mut opaque = false;
    for attribute in &input.attrs {
        if attribute.path().is_ident("document") {
            let _ = attribute.parse_nested_meta(|meta| {
                opaque |= meta.path.is_ident("opaque");
                Ok(())
            });
        }
    }
    opaque
}

fn stored_through_serde(input: &DeriveInput) -> TokenStream {
    let name = &input.ident;
    quote! {
        #[automatically_derived]
        impl ::orlop::document::Value for #name {
            type Field<__R> = ::orlop::document::Field<__R, Self>;
            fn schema() -> ::orlop::document::support::bson::Document {
                ::orlop::document::support::bson::Document::new()
            }
        }
    }
}

struct Variant<'a> {
    ident: &'a Ident,
    stored: String,
    aliases: Vec<syn::LitStr>,
}

fn plain_enum(name: &Ident, of: &Container, data: &DataEnum) -> Result<TokenStream> {
    let case = of.rename_all.unwrap_or(Case::AsWritten);
    let mut variants: Vec<Variant<'_>> = Vec::new();
    let mut fallback = None;
    for variant in &data.variants {
        let said = Member::read(&variant.attrs)?;
        if said.unknown {
            fallback = Some(&variant.ident);
            continue;
        }
        if !matches!(variant.fields, Fields::Unit) {
            return Err(syn::Error::new_spanned(
                variant,
                "a variant of a `Value` holds nothing; an enum of documents derives `Document`",
            ));
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
            stored,
            aliases: said.aliases,
        });
    }
    Ok(enum_impls(name, of, &variants, fallback))
}

fn enum_impls(
    name: &Ident,
    of: &Container,
    variants: &[Variant<'_>],
    fallback: Option<&Ident>,
) -> TokenStream {
    let lib = &of.root;
    let support = quote!(#lib::document::support);
    let idents: Vec<_> = variants.iter().map(|variant| variant.ident).collect();
    let stored: Vec<_> = variants.iter().map(|variant| &variant.stored).collect();
    let aliases: Vec<_> = variants.iter().map(|variant| &variant.aliases).collect();
    let write_other = fallback.map(|other| quote!(Self::#other(name) => name,));
    let read_other = match fallback {
        Some(other) => {
            quote!(::core::result::Result::Ok(#name::#other(::std::string::String::from(name))))
        }
        None => {
            let known = stored
                .iter()
                .map(|name| name.as_str())
                .collect::<Vec<_>>()
                .join(", ");
            let expected = format!("one of {known} was expected");
            quote!(::core::result::Result::Err(#support::expected(#expected)))
        }
    };
    let schema = match fallback {
        Some(_) => quote!(#support::bson::doc! {"bsonType": "string"}),
        None => quote!(#support::bson::doc! {"bsonType": "string", "enum": [#(#stored),*]}),
    };
    quote! {
        const _: () = {
            #[automatically_derived]
            impl #support::serde::Serialize for #name {
                fn serialize<__S: #support::serde::Serializer>(
                    &self,
                    serializer: __S,
                ) -> ::core::result::Result<__S::Ok, __S::Error> {
                    let name: &str = match self {
                        #(Self::#idents => #stored,)*
                        #write_other
                    };
                    #support::serde::Serializer::serialize_str(serializer, name)
                }
            }

            fn __read<'de, __D: #support::serde::Deserializer<'de>>(
                deserializer: __D,
            ) -> ::core::result::Result<#name, __D::Error> {
                struct __Visitor;
                impl #support::serde::de::Visitor<'_> for __Visitor {
                    type Value = #name;
                    fn expecting(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                        f.write_str("a name")
                    }
                    fn visit_str<__E: #support::serde::de::Error>(
                        self,
                        name: &str,
                    ) -> ::core::result::Result<#name, __E> {
                        match name {
                            #(#stored #(| #aliases)* => ::core::result::Result::Ok(#name::#idents),)*
                            _ => #read_other,
                        }
                    }
                }
                #support::serde::Deserializer::deserialize_str(deserializer, __Visitor)
            }

            #[automatically_derived]
            impl<'de> #support::serde::Deserialize<'de> for #name {
                fn deserialize<__D: #support::serde::Deserializer<'de>>(
                    deserializer: __D,
                ) -> ::core::result::Result<Self, __D::Error> {
                    __read(deserializer).map_err(|error| #support::plain(&error))
                }
            }

            #[automatically_derived]
            impl #lib::document::Value for #name {
                type Field<__R> = #lib::document::Field<__R, Self>;
                fn schema() -> #support::bson::Document {
                    #schema
                }
                fn read<'de, __D: #support::serde::Deserializer<'de>>(
                    deserializer: __D,
                ) -> ::core::result::Result<Self, __D::Error> {
                    __read(deserializer)
                }
            }
        };
    }
}

fn newtype(name: &Ident, of: &Container, inner: &Type) -> TokenStream {
    let lib = &of.root;
    let support = quote!(#lib::document::support);
    let value = quote_spanned!(inner.span()=> <#inner as #lib::document::Value>);
    quote! {
        const _: () = {
            #[automatically_derived]
            impl #support::serde::Serialize for #name {
                fn serialize<__S: #support::serde::Serializer>(
                    &self,
                    serializer: __S,
                ) -> ::core::result::Result<__S::Ok, __S::Error> {
                    #support::serde::Serialize::serialize(&self.0, serializer)
                }
            }

            #[automatically_derived]
            impl<'de> #support::serde::Deserialize<'de> for #name {
                fn deserialize<__D: #support::serde::Deserializer<'de>>(
                    deserializer: __D,
                ) -> ::core::result::Result<Self, __D::Error> {
                    #value::read(deserializer)
                        .map(Self)
                        .map_err(|error| #support::plain(&error))
                }
            }

            #[automatically_derived]
            impl #lib::document::Value for #name {
                type Field<__R> = #lib::document::Field<__R, Self>;
                const NESTED: ::core::option::Option<fn() -> &'static #lib::document::Shape> =
                    #value::NESTED;
                fn schema() -> #support::bson::Document {
                    #value::schema()
                }
                fn read<'de, __D: #support::serde::Deserializer<'de>>(
                    deserializer: __D,
                ) -> ::core::result::Result<Self, __D::Error> {
                    #value::read(deserializer).map(Self)
                }
                fn missing() -> ::core::option::Option<Self> {
                    #value::missing().map(Self)
                }
                fn is_absent(&self) -> bool {
                    #value::is_absent(&self.0)
                }
                fn check(&self, path: &str, errors: &mut ::std::vec::Vec<#lib::FieldError>) {
                    #value::check(&self.0, path, errors);
                }
            }
            // A bound with a lifetime of its own is not decided here: the newtype of a type without
            // the trait compiles, and just lacks the trait as well.
            #[automatically_derived]
            impl #lib::document::Ordered for #name where for<'__any> #inner: #lib::document::Ordered {}
            #[automatically_derived]
            impl #lib::document::Number for #name where for<'__any> #inner: #lib::document::Number {}
            #[automatically_derived]
            impl #lib::document::Text for #name where for<'__any> #inner: #lib::document::Text {}
        };
    }
}
