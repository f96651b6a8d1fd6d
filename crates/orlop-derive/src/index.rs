//! `#[index(..)]` and lists of paths.

use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream};
use syn::{Ident, LitInt, LitStr, Result, Token};

/// A path of fields by their Rust names, or a stored path said as a string.
#[derive(Clone)]
pub(crate) enum FieldPath {
    Names(Vec<Ident>),
    Stored(LitStr),
}

impl Parse for FieldPath {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        if input.peek(LitStr) {
            return input.parse().map(Self::Stored);
        }
        let mut names = vec![Ident::parse_any(input)?];
        while input.peek(Token![.]) {
            input.parse::<Token![.]>()?;
            names.push(Ident::parse_any(input)?);
        }
        Ok(Self::Names(names))
    }
}

/// One `#[index(..)]`.
pub(crate) struct Index {
    pub(crate) keys: Vec<(FieldPath, bool)>,
    pub(crate) unique: bool,
    pub(crate) sparse: bool,
    pub(crate) ttl: Option<LitInt>,
    pub(crate) name: Option<LitStr>,
}

impl Parse for Index {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let mut index = Self {
            keys: Vec::new(),
            unique: false,
            sparse: false,
            ttl: None,
            name: None,
        };
        while !input.is_empty() {
            index.part(input)?;
            if input.is_empty() {
                break;
            }
            input.parse::<Token![,]>()?;
        }
        if index.keys.is_empty() {
            return Err(input.error("an index needs a field: `#[index(user_id, priority desc)]`"));
        }
        Ok(index)
    }
}

impl Index {
    fn part(&mut self, input: ParseStream<'_>) -> Result<()> {
        let ahead = input.fork();
        if let Ok(word) = Ident::parse_any(&ahead) {
            let alone = ahead.is_empty() || ahead.peek(Token![,]);
            match word.to_string().as_str() {
                "ttl" if ahead.peek(Token![=]) => {
                    Ident::parse_any(input)?;
                    input.parse::<Token![=]>()?;
                    self.ttl = Some(input.parse()?);
                    return Ok(());
                }
                "name" if ahead.peek(Token![=]) => {
                    Ident::parse_any(input)?;
                    input.parse::<Token![=]>()?;
                    self.name = Some(input.parse()?);
                    return Ok(());
                }
                // The first word is a field, whatever it is called.
                "unique" if alone && !self.keys.is_empty() => {
                    Ident::parse_any(input)?;
                    self.unique = true;
                    return Ok(());
                }
                "sparse" if alone && !self.keys.is_empty() => {
                    Ident::parse_any(input)?;
                    self.sparse = true;
                    return Ok(());
                }
                _ => {}
            }
        }
        let path = input.parse()?;
        let mut descending = false;
        if input.peek(Ident) {
            let order: Ident = input.parse()?;
            descending = match order.to_string().as_str() {
                "asc" => false,
                "desc" => true,
                _ => {
                    return Err(syn::Error::new(
                        order.span(),
                        "`asc` or `desc` was expected",
                    ));
                }
            };
        }
        self.keys.push((path, descending));
        Ok(())
    }
}
