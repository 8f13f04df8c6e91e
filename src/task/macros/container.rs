//! `#[container]`.
use proc_macro2::TokenStream;
use syn::Result;
pub(crate) fn expand(_args: TokenStream, item: TokenStream) -> Result<TokenStream> {
    Ok(item)
}
