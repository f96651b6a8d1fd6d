//! The accessors: a struct of fields for any root, and functions of the type itself.

use proc_macro2::TokenStream;
use quote::{format_ident, quote, quote_spanned};
use syn::{Attribute, Ident};

use crate::index::FieldPath;
use crate::model::Model;

/// The name of the struct of fields.
pub(crate) fn struct_name(name: &Ident) -> Ident {
    format_ident!("{name}Fields")
}

/// The struct of fields with a method a field.
pub(crate) fn structure(model: &Model, embedded: bool) -> TokenStream {
    let (vis, lib) = (&model.vis, &model.of.root);
    let name = struct_name(&model.ident);
    let root = quote!(__R);
    let methods = model.fields.iter().map(|field| {
        let (vis, accessor, stored) = (&field.vis, field.accessor(), &field.stored);
        let ty = field.field_type(lib, &root);
        let docs = docs(&field.docs, stored);
        quote_spanned! {field.ident.span()=>
            #docs
            #[allow(dead_code, private_interfaces)]
            #vis fn #accessor(&self) -> #ty {
                <#ty as #lib::document::At>::at(#lib::document::support::join(&self.path, #stored))
            }
        }
    });
    let version = (!embedded && !has_version(model)).then(|| {
        let vis = &model.vis;
        quote! {
            /// The revision of the stored document.
            #[allow(dead_code)]
            #vis fn version(&self) -> #lib::document::Field<__R, #lib::document::Revision> {
                #lib::document::At::at(#lib::document::support::join(&self.path, "_v"))
            }
        }
    });
    let whole = embedded.then(|| whole(model));
    let title = format!(
        "The fields of [`{}`], in a document of type `__R`.",
        model.ident
    );
    quote! {
        #[doc = #title]
        #[allow(dead_code)]
        #vis struct #name<__R> {
            path: ::std::borrow::Cow<'static, str>,
            of: ::core::marker::PhantomData<fn() -> __R>,
        }

        #[allow(dead_code, clippy::should_implement_trait)]
        impl<__R> #name<__R> {
            #(#methods)*
            #version
            #whole
        }

        #[automatically_derived]
        impl<__R> #lib::document::At for #name<__R> {
            type Inner = Self;
            fn at(path: ::std::borrow::Cow<'static, str>) -> Self {
                Self { path, of: ::core::marker::PhantomData }
            }
            fn path(&self) -> &::std::borrow::Cow<'static, str> {
                &self.path
            }
        }
    }
}

/// What can be asked of an embedded document as a whole, unless a field has that name.
fn whole(model: &Model) -> TokenStream {
    let (vis, lib, name) = (&model.vis, &model.of.root, &model.ident);
    let field = quote!(#lib::document::Field<__R, #name>);
    let whole = quote! {
        <#field as #lib::document::At>::at(::core::clone::Clone::clone(&self.path))
    };
    let filter = quote!(#lib::query::typed::Filter<__R>);
    let step = quote!(#lib::query::typed::Step<__R>);
    let operand = quote!(impl #lib::query::typed::Operand<#name>);
    let verbs = [
        (
            "whole",
            quote!(),
            quote!(-> #field),
            quote!(#whole),
            "The embedded document as one value.",
        ),
        (
            "eq",
            quote!(, value: #operand),
            quote!(-> #filter),
            quote!(#whole.eq(value)),
            "Equal, field by field and in their order.",
        ),
        (
            "ne",
            quote!(, value: #operand),
            quote!(-> #filter),
            quote!(#whole.ne(value)),
            "Not equal, or missing.",
        ),
        (
            "exists",
            quote!(, there: bool),
            quote!(-> #filter),
            quote!(#whole.exists(there)),
            "There, or not there.",
        ),
        (
            "set",
            quote!(, value: #operand),
            quote!(-> #step),
            quote!(#whole.set(value)),
            "Sets the whole embedded document.",
        ),
        (
            "unset",
            quote!(),
            quote!(-> #step),
            quote!(#whole.unset()),
            "Takes the whole embedded document away.",
        ),
    ];
    let methods = verbs
        .iter()
        .filter(|(verb, ..)| model.fields.iter().all(|field| field.accessor() != verb))
        .map(|(verb, arguments, result, body, docs)| {
            let verb = format_ident!("{verb}");
            quote! {
                #[doc = #docs]
                #vis fn #verb(&self #arguments) #result { #body }
            }
        });
    quote!(#(#methods)*)
}

/// `Task::title()` and the rest.
pub(crate) fn accessors(model: &Model) -> TokenStream {
    if model.of.no_accessors {
        return TokenStream::new();
    }
    let (name, lib) = (&model.ident, &model.of.root);
    let root = quote!(#name);
    let functions = model.fields.iter().map(|field| {
        let (vis, accessor, stored) = (&field.vis, field.accessor(), &field.stored);
        let ty = field.field_type(lib, &root);
        let docs = docs(&field.docs, stored);
        quote_spanned! {field.ident.span()=>
            #docs
            #[allow(dead_code, private_interfaces)]
            #vis fn #accessor() -> #ty {
                <#ty as #lib::document::At>::at(::std::borrow::Cow::Borrowed(#stored))
            }
        }
    });
    let version = (!has_version(model)).then(|| {
        let vis = &model.vis;
        quote! {
            /// The revision of the stored document.
            #[allow(dead_code)]
            #vis fn version() -> #lib::document::Field<#name, #lib::document::Revision> {
                #lib::document::At::at(::std::borrow::Cow::Borrowed("_v"))
            }
        }
    });
    quote! {
        impl #name {
            #(#functions)*
            #version
        }
    }
}

/// An expression for the stored path, a `String`, checked by the compiler field by field.
pub(crate) fn path(model: &Model, path: &FieldPath) -> syn::Result<TokenStream> {
    let (lib, name) = (&model.of.root, &model.ident);
    let names = match path {
        FieldPath::Stored(path) => return Ok(quote!(::std::string::String::from(#path))),
        FieldPath::Names(names) => names,
    };
    let (first, rest) = names.split_first().expect("a path has a first name");
    let field = model.field(first)?;
    let ty = field.field_type(lib, &quote!(#name));
    let stored = &field.stored;
    let mut at = quote_spanned! {first.span()=>
        <#ty as #lib::document::At>::at(::std::borrow::Cow::Borrowed(#stored))
    };
    for name in rest {
        at = quote_spanned!(name.span()=> #lib::document::At::inner(#at).#name());
    }
    Ok(quote!(::std::string::ToString::to_string(#lib::document::At::path(&#at))))
}

fn has_version(model: &Model) -> bool {
    model
        .fields
        .iter()
        .any(|field| field.accessor() == "version")
}

fn docs(said: &[Attribute], stored: &str) -> TokenStream {
    if said.is_empty() {
        let docs = format!("The field stored as `{stored}`.");
        return quote!(#[doc = #docs]);
    }
    quote!(#(#said)*)
}
