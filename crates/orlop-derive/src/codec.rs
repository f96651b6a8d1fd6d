//! `Serialize` and `Deserialize` of a struct, with our names.

use proc_macro2::{Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Ident, LitStr};

use crate::model::{FieldModel, Model};

/// Both impls, and a function `__read` that marks its errors for whatever holds the value.
pub(crate) fn derive(model: &Model) -> TokenStream {
    let serialize = serialize(model);
    let deserialize = deserialize(model);
    quote!(#serialize #deserialize)
}

fn serialize(model: &Model) -> TokenStream {
    let (name, lib) = (&model.ident, &model.of.root);
    let support = quote!(#lib::document::support);
    let count = model.fields.len();
    // The id first and the revision last, as documents are stored.
    let mut ordered: Vec<_> = model.fields.iter().collect();
    ordered.sort_by_key(|field| (!field.said.id, field.said.version));
    let fields = ordered.into_iter().map(|field| {
        let (ident, stored) = (&field.ident, &field.stored);
        let write = quote!(#support::serde::ser::SerializeStruct::serialize_field(&mut out, #stored, &self.#ident)?;);
        if field.said.opaque || field.said.id {
            return write;
        }
        let ty = &field.ty;
        quote_spanned! {ty.span()=>
            if !<#ty as #lib::document::Value>::is_absent(&self.#ident) { #write }
        }
    });
    let title = name.to_string();
    quote! {
        #[automatically_derived]
        impl #support::serde::Serialize for #name {
            fn serialize<__S: #support::serde::Serializer>(
                &self,
                serializer: __S,
            ) -> ::core::result::Result<__S::Ok, __S::Error> {
                let mut out = #support::serde::Serializer::serialize_struct(serializer, #title, #count)?;
                #(#fields)*
                #support::serde::ser::SerializeStruct::end(out)
            }
        }
    }
}

fn deserialize(model: &Model) -> TokenStream {
    let (name, lib) = (&model.ident, &model.of.root);
    let support = quote!(#lib::document::support);
    let slots: Vec<Ident> = (0..model.fields.len())
        .map(|at| format_ident!("__field{at}"))
        .collect();
    let declare = model.fields.iter().zip(&slots).map(|(field, slot)| {
        let ty = slot_type(field);
        quote!(let mut #slot: ::core::option::Option<#ty> = ::core::option::Option::None;)
    });
    let names = model.fields.iter().enumerate().map(|(at, field)| {
        let stored = LitStr::new(&field.stored, Span::call_site());
        let aliases = &field.said.aliases;
        quote!(#stored #(| #aliases)* => #at,)
    });
    let reads = model.fields.iter().zip(&slots).enumerate().map(|(at, (field, slot))| {
        let (ty, stored) = (slot_type(field), &field.stored);
        let read = if field.said.opaque { quote!(opaque) } else { quote!(value) };
        quote_spanned! {field.ty.span()=>
            #at => #slot = ::core::option::Option::Some(#support::#read::<#ty, __A>(&mut map, #stored)?),
        }
    });
    let takes = model
        .fields
        .iter()
        .zip(&slots)
        .map(|(field, slot)| take(field, slot, lib, &support));
    let expecting = format!("a document with the fields of {name}");
    quote! {
        fn __read<'de, __D: #support::serde::Deserializer<'de>>(
            deserializer: __D,
        ) -> ::core::result::Result<#name, __D::Error> {
            struct __Visitor;
            impl<'de> #support::serde::de::Visitor<'de> for __Visitor {
                type Value = #name;
                fn expecting(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                    f.write_str(#expecting)
                }
                fn visit_map<__A: #support::serde::de::MapAccess<'de>>(
                    self,
                    mut map: __A,
                ) -> ::core::result::Result<#name, __A::Error> {
                    #(#declare)*
                    fn __number(name: &str) -> usize {
                        match name {
                            #(#names)*
                            _ => usize::MAX,
                        }
                    }
                    while let ::core::option::Option::Some(__number) =
                        #support::serde::de::MapAccess::next_key_seed(&mut map, #support::Name(__number))?
                    {
                        match __number {
                            #(#reads)*
                            _ => #support::skip(&mut map)?,
                        }
                    }
                    ::core::result::Result::Ok(#name { #(#takes)* })
                }
            }
            #support::serde::Deserializer::deserialize_map(deserializer, __Visitor)
        }

        #[automatically_derived]
        impl<'de> #support::serde::Deserialize<'de> for #name {
            fn deserialize<__D: #support::serde::Deserializer<'de>>(
                deserializer: __D,
            ) -> ::core::result::Result<Self, __D::Error> {
                __read(deserializer).map_err(|error| #support::plain(&error))
            }
        }
    }
}

/// Where there is a default, a stored null is read too: it stands for the default.
fn slot_type(field: &FieldModel) -> TokenStream {
    let ty = &field.ty;
    if field.said.default.is_some() && !field.said.opaque {
        quote!(::core::option::Option<#ty>)
    } else {
        quote!(#ty)
    }
}

fn take(field: &FieldModel, slot: &Ident, lib: &syn::Path, support: &TokenStream) -> TokenStream {
    let (ident, ty, stored) = (&field.ident, &field.ty, &field.stored);
    let span = ty.span();
    let absent = match field.default_value(lib) {
        Some(value) => value,
        None if field.said.opaque => {
            quote_spanned!(span=> #support::opaque_missing::<#ty, __A::Error>(#stored)?)
        }
        None => quote_spanned!(span=> #support::missing::<#ty, __A::Error>(#stored)?),
    };
    if field.said.default.is_some() && !field.said.opaque {
        return quote_spanned! {span=>
            #ident: match #slot {
                ::core::option::Option::Some(::core::option::Option::Some(value)) => value,
                ::core::option::Option::Some(::core::option::Option::None) => {
                    // A null is none where the type has one, and the default elsewhere.
                    match <#ty as #lib::document::Value>::missing() {
                        ::core::option::Option::Some(value) => value,
                        ::core::option::Option::None => #absent,
                    }
                }
                ::core::option::Option::None => #absent,
            },
        };
    }
    quote_spanned! {span=>
        #ident: match #slot {
            ::core::option::Option::Some(value) => value,
            ::core::option::Option::None => #absent,
        },
    }
}
