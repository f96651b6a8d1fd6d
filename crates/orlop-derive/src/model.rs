//! A struct with its fields, read.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote, quote_spanned};
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::{
    Data, DeriveInput, Expr, ExprLit, ExprUnary, Fields, Ident, Lit, Result, Type, UnOp, Visibility,
};

use crate::attributes::{Container, Default, Member};
use crate::names::Case;

/// A struct.
pub(crate) struct Model {
    pub(crate) ident: Ident,
    pub(crate) vis: Visibility,
    pub(crate) of: Container,
    pub(crate) fields: Vec<FieldModel>,
}

/// A field of it.
pub(crate) struct FieldModel {
    pub(crate) ident: Ident,
    pub(crate) vis: Visibility,
    pub(crate) ty: Type,
    pub(crate) stored: String,
    pub(crate) said: Member,
    /// One of the instants that the collection keeps.
    pub(crate) stamp: bool,
    /// Its doc comments.
    pub(crate) docs: Vec<syn::Attribute>,
}

impl Model {
    pub(crate) fn read(input: &DeriveInput) -> Result<Self> {
        if !input.generics.params.is_empty() {
            return Err(syn::Error::new_spanned(
                &input.generics,
                "a stored type cannot be generic: its names and schema are one",
            ));
        }
        let Data::Struct(data) = &input.data else {
            return Err(syn::Error::new_spanned(
                &input.ident,
                "a struct was expected",
            ));
        };
        let Fields::Named(named) = &data.fields else {
            return Err(syn::Error::new_spanned(
                &input.ident,
                "a struct with named fields was expected; a newtype derives `Value`",
            ));
        };
        let of = Container::read(&input.attrs)?;
        let case = of.rename_all.unwrap_or(Case::Camel);
        let mut fields = Vec::with_capacity(named.named.len());
        for field in &named.named {
            let ident = field.ident.clone().expect("a named field has a name");
            let said = Member::read(&field.attrs)?;
            let stored = match &said.rename {
                _ if said.id => "_id".to_owned(),
                _ if said.version => "_v".to_owned(),
                Some(name) => name.value(),
                None => case.apply(&ident.unraw().to_string()),
            };
            check_name(&ident, &stored, &said)?;
            let stamp = of.timestamps.as_ref().is_some_and(|stamps| {
                [&stamps.created, &stamps.updated]
                    .into_iter()
                    .flatten()
                    .any(|name| *name == ident)
            });
            fields.push(FieldModel {
                ident,
                vis: field.vis.clone(),
                ty: field.ty.clone(),
                stored,
                said,
                stamp,
                docs: field
                    .attrs
                    .iter()
                    .filter(|said| said.path().is_ident("doc"))
                    .cloned()
                    .collect(),
            });
        }
        distinct(&fields)?;
        Ok(Self {
            ident: input.ident.clone(),
            vis: input.vis.clone(),
            of,
            fields,
        })
    }

    pub(crate) fn field(&self, name: &Ident) -> Result<&FieldModel> {
        self.fields
            .iter()
            .find(|field| field.ident == *name)
            .ok_or_else(|| {
                let known: Vec<_> = self
                    .fields
                    .iter()
                    .map(|field| field.ident.to_string())
                    .collect();
                syn::Error::new(
                    name.span(),
                    format!(
                        "`{}` has no field `{name}`; its fields are {}",
                        self.ident,
                        known.join(", ")
                    ),
                )
            })
    }
}

impl FieldModel {
    /// The name of its accessor.
    pub(crate) fn accessor(&self) -> Ident {
        match &self.said.accessor {
            Some(name) => Ident::new(&name.value(), name.span()),
            None => self.ident.clone(),
        }
    }

    /// The type of its accessor, for documents of type `root`.
    pub(crate) fn field_type(&self, lib: &syn::Path, root: &TokenStream) -> TokenStream {
        let ty = &self.ty;
        let span = ty.span();
        if self.said.opaque {
            quote_spanned!(span=> #lib::document::Field<#root, #lib::document::Opaque<#ty>>)
        } else {
            quote_spanned!(span=> <#ty as #lib::document::Value>::Field<#root>)
        }
    }

    /// The value of the field where it is missing, as an expression of its type; none when only
    /// its type knows.
    pub(crate) fn default_value(&self, lib: &syn::Path) -> Option<TokenStream> {
        let ty = &self.ty;
        let span = ty.span();
        match &self.said.default {
            Some(Default::Trait) => {
                Some(quote_spanned!(span=> <#ty as ::core::default::Default>::default()))
            }
            Some(Default::Now) => Some(quote_spanned!(span=> <#ty as #lib::document::Now>::now())),
            Some(Default::Value(value)) => Some(converted(value, ty)),
            None if self.said.version => Some(quote!(<#ty as ::core::default::Default>::default())),
            None if self.stamp => Some(quote_spanned! {span=>
                match <#ty as #lib::document::Value>::missing() {
                    ::core::option::Option::Some(value) => value,
                    ::core::option::Option::None => <#ty as #lib::document::Now>::now(),
                }
            }),
            None => None,
        }
    }

    /// Whether its default is the instant of the write.
    pub(crate) fn is_now(&self) -> bool {
        matches!(self.said.default, Some(Default::Now))
    }
}

/// `"light"` for a `String` and `0` for an `f64` are meant as they read.
fn converted(value: &Expr, ty: &Type) -> TokenStream {
    let number = match value {
        Expr::Lit(ExprLit {
            lit: Lit::Int(number),
            ..
        }) => Some((false, number)),
        Expr::Unary(ExprUnary {
            op: UnOp::Neg(_),
            expr,
            ..
        }) => match &**expr {
            Expr::Lit(ExprLit {
                lit: Lit::Int(number),
                ..
            }) => Some((true, number)),
            _ => None,
        },
        _ => None,
    };
    match (value, number) {
        (
            Expr::Lit(ExprLit {
                lit: Lit::Str(_), ..
            }),
            _,
        ) => {
            quote_spanned!(value.span()=> <#ty as ::core::convert::From<&str>>::from(#value))
        }
        (_, Some((negative, number))) if is_float(ty) && number.suffix().is_empty() => {
            let float = format!(
                "{}{}.0",
                if negative { "-" } else { "" },
                number.base10_digits()
            );
            float.parse().unwrap_or_else(|_| value.to_token_stream())
        }
        _ => value.to_token_stream(),
    }
}

fn is_float(ty: &Type) -> bool {
    matches!(ty, Type::Path(path) if path.path.is_ident("f64"))
}

fn check_name(ident: &Ident, stored: &str, said: &Member) -> Result<()> {
    let refuse = |why: String| Err(syn::Error::new(ident.span(), why));
    if said.id && said.version {
        return refuse("a field cannot be both id and version".to_owned());
    }
    if (said.id || said.version) && said.rename.is_some() {
        return refuse(format!(
            "the field is stored as `{stored}`; it cannot be renamed"
        ));
    }
    if !said.id && stored == "_id" {
        return refuse("`_id` is the id: mark the field `#[document(id)]`".to_owned());
    }
    if !said.version && stored == "_v" {
        return refuse("`_v` is the revision: mark the field `#[document(version)]`".to_owned());
    }
    if stored.is_empty() || stored.contains(['.', '\0']) || stored.starts_with('$') {
        return refuse(format!("`{stored}` cannot be the name of a stored field"));
    }
    Ok(())
}

fn distinct(fields: &[FieldModel]) -> Result<()> {
    let mut seen: Vec<(String, &Ident)> = Vec::new();
    for field in fields {
        let aliases = field.said.aliases.iter().map(syn::LitStr::value);
        for name in std::iter::once(field.stored.clone()).chain(aliases) {
            if let Some((_, other)) = seen.iter().find(|(known, _)| *known == name) {
                return Err(syn::Error::new(
                    field.ident.span(),
                    format!(
                        "`{}` and `{other}` are both stored as `{name}`",
                        field.ident
                    ),
                ));
            }
            seen.push((name, &field.ident));
        }
    }
    Ok(())
}
