//! `#[container]`.

use proc_macro2::{Literal, Span, TokenStream};
use quote::{quote, ToTokens};
use std::ffi::CString;
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::spanned::Spanned;
use syn::{
    Attribute, Error, Expr, FnArg, Ident, ImplItem, ImplItemFn, ItemImpl, LitStr, Path, Result,
    Token, Type,
};

pub(crate) fn expand(args: TokenStream, item: TokenStream) -> Result<TokenStream> {
    let args: Args = syn::parse2(args)?;
    let mut item: ItemImpl = syn::parse2(item)?;
    if let Some((_, path, _)) = &item.trait_ {
        return Err(Error::new_spanned(path, "`#[container]` belongs on an inherent `impl` block"));
    }
    if !item.generics.params.is_empty() {
        return Err(Error::new_spanned(&item.generics, "a container cannot be generic"));
    }
    let found = Found::in_impl(&mut item)?;
    let krate = &args.krate;
    let (name, version) = (cstr(&args.name)?, args.version(krate)?);
    let entries = found.entries(krate)?;
    let unsupported = args.unsupported.iter().map(|(name, number)| {
        let name = cstr(&LitStr::new(&name.to_string(), name.span()))?;
        Ok(quote!(#krate::module::MethodEntry::unsupported(#number, #name)))
    });
    let unsupported = unsupported.collect::<Result<Vec<_>>>()?;
    let this = &item.self_ty;
    let Some(create) = &found.create else {
        return Err(Error::new(
            Span::call_site(),
            "a container needs a `#[create] fn create(init: &Init<'_>) -> Result<Self>`",
        ));
    };
    let (create, params) = (&create.sig.ident, params(create)?);
    let (form, params) = match params {
        Some(ty) => (
            quote! {
                const PARAMS: ::core::option::Option<#krate::module::ParamsForm> =
                    ::core::option::Option::Some(#krate::module::ParamsForm::of::<#ty>());
            },
            quote!(, <#ty as #krate::PoolParams>::from_any(init.params())?),
        ),
        None => (TokenStream::new(), TokenStream::new()),
    };
    let state = found.state(&args, krate)?;
    let destroy = found.destroy.map(|destroy| {
        quote! {
            fn destroy(&self, ctx: &#krate::module::RunContext<'_>) -> #krate::Result<()> {
                #krate::module::Outcome::into_result(Self::#destroy(self, ctx))
            }
        }
    });
    Ok(quote! {
        #item

        #[automatically_derived]
        impl #krate::module::Container for #this {
            const NAME: &'static ::core::ffi::CStr = #name;
            const VERSION: &'static ::core::ffi::CStr = #version;
            const METHODS: &'static [#krate::module::MethodEntry<Self>] =
                &[#(#entries,)* #(#unsupported,)*];
            #form
            #state

            fn create(init: &#krate::module::Init<'_>) -> #krate::Result<Self> {
                Self::#create(init #params)
            }
            #destroy
        }

        #krate::module::export_container!(#this);
    })
}

/// `name = "repo:module"`, and optionally `version = "1.0"`, `state`,
/// `unsupported(kName = number, ..)`, `crate = path`.
struct Args {
    name: LitStr,
    version: Option<LitStr>,
    state: bool,
    unsupported: Vec<(Ident, Expr)>,
    krate: Path,
}

impl Args {
    fn version(&self, krate: &Path) -> Result<TokenStream> {
        match &self.version {
            Some(version) => Ok(cstr(version)?.into_token_stream()),
            None => Ok(quote! {
                #krate::module::__private::cstr(
                    ::core::concat!(::core::env!("CARGO_PKG_VERSION"), "\0")
                )
            }),
        }
    }
}

impl Parse for Args {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let (mut name, mut version, mut state, mut unsupported) = (None, None, false, Vec::new());
        let mut krate: Path = syn::parse_quote!(::chimaera);
        let parser = syn::meta::parser(|meta| {
            if meta.path.is_ident("name") {
                name = Some(meta.value()?.parse()?);
            } else if meta.path.is_ident("version") {
                version = Some(meta.value()?.parse()?);
            } else if meta.path.is_ident("state") {
                state = true;
            } else if meta.path.is_ident("crate") {
                krate = meta.value()?.call(Path::parse_mod_style)?;
            } else if meta.path.is_ident("unsupported") {
                let list;
                syn::parenthesized!(list in meta.input);
                let list = Punctuated::<Unsupported, Token![,]>::parse_terminated(&list)?;
                unsupported.extend(list.into_iter().map(|method| (method.0, method.1)));
            } else {
                return Err(
                    meta.error("expected `name`, `version`, `state`, `unsupported(..)` or `crate`")
                );
            }
            Ok(())
        });
        syn::parse::Parser::parse2(parser, input.parse()?)?;
        let name = name.ok_or_else(|| {
            Error::new(Span::call_site(), "the module's name is missing: `name = \"repo:module\"`")
        })?;
        Ok(Args { name, version, state, unsupported, krate })
    }
}

/// `kName = number`.
struct Unsupported(Ident, Expr);

impl Parse for Unsupported {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let name = input.parse()?;
        input.parse::<Token![=]>()?;
        Ok(Unsupported(name, input.parse()?))
    }
}

/// A function marked `#[method]`.
struct Method {
    number: Expr,
    name: LitStr,
    idempotent: bool,
    function: ImplItemFn,
}

/// The functions of the block that have attributes.
#[derive(Default)]
struct Found {
    create: Option<ImplItemFn>,
    destroy: Option<Ident>,
    release: Option<Ident>,
    resume: Option<Ident>,
    life: Vec<(&'static Life, ImplItemFn)>,
    methods: Vec<Method>,
    monitors: Vec<(Expr, ImplItemFn)>,
    aggregates: Vec<(Expr, ImplItemFn)>,
}

impl Found {
    /// Collects the functions and removes their attributes.
    fn in_impl(item: &mut ItemImpl) -> Result<Self> {
        let mut found = Found::default();
        for item in &mut item.items {
            let ImplItem::Fn(function) = item else { continue };
            let (ours, others) = std::mem::take(&mut function.attrs).into_iter().partition(ours);
            function.attrs = others;
            let ours: Vec<Attribute> = ours;
            if let [_, second, ..] = &ours[..] {
                return Err(Error::new_spanned(second, "one of these per function"));
            }
            let Some(attr) = ours.first() else { continue };
            let ident = function.sig.ident.clone();
            let twice = || Error::new_spanned(attr, "there is already one in this block");
            match () {
                () if attr.path().is_ident("create") => {
                    attr.meta.require_path_only()?;
                    found.create.replace(function.clone()).map_or(Ok(()), |_| Err(twice()))?;
                }
                () if attr.path().is_ident("destroy") => {
                    attr.meta.require_path_only()?;
                    found.destroy.replace(ident).map_or(Ok(()), |_| Err(twice()))?;
                }
                () if attr.path().is_ident("release") => {
                    attr.meta.require_path_only()?;
                    found.release.replace(ident).map_or(Ok(()), |_| Err(twice()))?;
                }
                () if attr.path().is_ident("resume") => {
                    attr.meta.require_path_only()?;
                    found.resume.replace(ident).map_or(Ok(()), |_| Err(twice()))?;
                }
                () if attr.path().is_ident("method") => {
                    let MethodArgs { number, name, idempotent } = attr.parse_args()?;
                    let name = name.unwrap_or_else(|| LitStr::new(&k_name(&ident), ident.span()));
                    let function = function.clone();
                    found.methods.push(Method { number, name, idempotent, function });
                }
                () if attr.path().is_ident("monitor") => {
                    found.monitors.push((attr.parse_args()?, function.clone()));
                }
                () if life(attr).is_some() => {
                    attr.meta.require_path_only()?;
                    if let Some(life) = life(attr) {
                        if found.life.iter().any(|(other, _)| other.attribute == life.attribute) {
                            return Err(twice());
                        }
                        found.life.push((life, function.clone()));
                    }
                }
                () => found.aggregates.push((attr.parse_args()?, function.clone())),
            }
        }
        Ok(found)
    }

    /// The items of the trait that save and load the container.
    fn state(&self, args: &Args, krate: &Path) -> Result<TokenStream> {
        if !args.state {
            let lost = self.release.iter().chain(&self.resume).next();
            return lost.map_or(Ok(TokenStream::new()), |function| {
                Err(Error::new_spanned(
                    function,
                    "a container without a state is never saved: write `state` in \
                     `#[container(..)]`",
                ))
            });
        }
        let function = |name: &str, own: &Option<Ident>| {
            let name = Ident::new(name, Span::call_site());
            own.as_ref().map(|own| {
                quote! {
                    fn #name(&self) -> #krate::Result<()> {
                        #krate::module::Outcome::into_result(Self::#own(self))
                    }
                }
            })
        };
        let (release, resume) =
            (function("release", &self.release), function("resume", &self.resume));
        Ok(quote! {
            const STATE: ::core::option::Option<#krate::module::StateForm<Self>> =
                ::core::option::Option::Some(#krate::module::StateForm::new());
            #release
            #resume
        })
    }

    /// The entries of the methods' table.
    fn entries(&self, krate: &Path) -> Result<Vec<TokenStream>> {
        let same =
            |a: &Expr, b: &Expr| a.to_token_stream().to_string() == b.to_token_stream().to_string();
        let (monitors, aggregates) = (&self.monitors, &self.aggregates);
        for ((number, function), what) in
            with(monitors, "monitors").chain(with(aggregates, "adds to"))
        {
            if !self.methods.iter().any(|method| same(&method.number, number)) {
                let message = format!(
                    "`{}` {what} a method that this block does not have",
                    function.sig.ident
                );
                return Err(Error::new_spanned(number, message));
            }
        }
        let only = |functions: &'_ [(Expr, ImplItemFn)], method: &Method, what: &str| {
            let mut own = functions.iter().filter(|(number, _)| same(number, &method.number));
            let first = own.next().map(|(_, function)| function.clone());
            match own.next() {
                Some((number, _)) => {
                    Err(Error::new_spanned(number, format!("this method already has {what}")))
                }
                None => Ok(first),
            }
        };
        let life = self.life.iter().map(|(life, function)| life_entry(krate, life, function));
        let methods = self.methods.iter().map(|method| {
            let monitor = only(monitors, method, "a monitor")?;
            let mut entry = entry(krate, method, monitor.as_ref())?;
            if let Some(aggregate) = only(aggregates, method, "an aggregation")? {
                entry.extend(aggregation(krate, method, &aggregate)?);
            }
            if method.idempotent {
                entry.extend(quote!(.idempotent()));
            }
            Ok(entry)
        });
        life.chain(methods).collect()
    }
}

/// The type of the parameters that `create` takes besides `init`, if any.
fn params(create: &ImplItemFn) -> Result<Option<Type>> {
    let sig = &create.sig;
    let mut args = sig.inputs.iter();
    match (args.next(), args.next(), args.next()) {
        (Some(FnArg::Typed(_)), None, _) => Ok(None),
        (Some(FnArg::Typed(_)), Some(FnArg::Typed(params)), None) => match &*params.ty {
            Type::Reference(_) => Err(Error::new_spanned(
                &params.ty,
                "a container owns its parameters: take them by value",
            )),
            ty => Ok(Some(ty.clone())),
        },
        _ => Err(Error::new_spanned(
            sig,
            "`create` must be `fn(init: &Init<'_>) -> Result<Self>` or, with pool parameters, \
             `fn(init: &Init<'_>, params: Params) -> Result<Self>`",
        )),
    }
}

/// Functions of one kind, each with the verb for an error message.
fn with<'a>(
    functions: &'a [(Expr, ImplItemFn)],
    what: &'a str,
) -> impl Iterator<Item = (&'a (Expr, ImplItemFn), &'a str)> {
    functions.iter().map(move |function| (function, what))
}

/// The call that adds an aggregation to an entry of the methods' table.
fn aggregation(krate: &Path, method: &Method, aggregate: &ImplItemFn) -> Result<TokenStream> {
    let (task, _) = signature(&method.function, 0)?;
    let sig = &aggregate.sig;
    let inputs = sig.inputs.len();
    let (aggregated, ident) = (sig.inputs.iter().nth(1), &sig.ident);
    let same = matches!(aggregated, Some(FnArg::Typed(first)) if matches!(&*first.ty,
        Type::Reference(reference) if reference.mutability.is_none()
            && reference.elem.to_token_stream().to_string() == task.to_token_stream().to_string()));
    if !same || !(3..=4).contains(&inputs) || sig.receiver().is_none() || sig.asyncness.is_some() {
        return Err(Error::new_spanned(
            sig,
            format!(
                "an aggregation must be `fn(&self, task: &{0}, replica: &Replica<'_, {0}>)`, \
                 optionally followed by `ctx: &RunContext<'_>`",
                task.to_token_stream()
            ),
        ));
    }
    let ctx = (inputs == 4).then(|| quote!(, ctx));
    Ok(quote! {
        .aggregated(
            |this: &Self, task: &#task, replica: &#krate::module::Replica<'_, #task>,
             ctx: &#krate::module::RunContext<'_>| {
                let _ = ctx;
                Self::#ident(this, task, replica #ctx)
            }
        )
    })
}

/// One entry of the methods' table.
fn entry(krate: &Path, method: &Method, monitor: Option<&ImplItemFn>) -> Result<TokenStream> {
    let (number, name) = (&method.number, cstr(&method.name)?);
    let run = &method.function.sig.ident;
    let (task, with_ctx) = signature(&method.function, 0)?;
    let ctx = with_ctx.then(|| quote!(, ctx));
    let run = quote! {
        |this: &Self, task: &#task, ctx: &#krate::module::RunContext<'_>| {
            let _ = ctx;
            Self::#run(this, task #ctx)
        }
    };
    let Some(monitor) = monitor else {
        return Ok(quote!(#krate::module::MethodEntry::new(#number, #name, #run)));
    };
    let (monitored, with_ctx) = signature(monitor, 1)?;
    if monitored.to_token_stream().to_string() != task.to_token_stream().to_string() {
        return Err(Error::new_spanned(
            monitored,
            format!("the task of the method is `{}`", task.to_token_stream()),
        ));
    }
    if !with_ctx {
        return Err(Error::new_spanned(
            &monitor.sig,
            "a monitor must be \
             `fn(&self, mode: MonitorMode, task: &Task, ctx: &mut MonitorContext<'_>)`",
        ));
    }
    let monitor = &monitor.sig.ident;
    Ok(quote! {
        #krate::module::MethodEntry::monitored(
            #number,
            #name,
            #run,
            |this: &Self, mode: #krate::module::MonitorMode, task: &#task,
             ctx: &mut #krate::module::MonitorContext<'_>| Self::#monitor(this, mode, task, ctx),
        )
    })
}

/// The entry of one of the methods of a container's life.
fn life_entry(krate: &Path, life: &Life, function: &ImplItemFn) -> Result<TokenStream> {
    let (_, with_ctx) = signature(function, 0)?;
    let (number, name) = (life.number, cstr(&LitStr::new(life.name, Span::call_site()))?);
    let run = &function.sig.ident;
    let ctx = with_ctx.then(|| quote!(, ctx));
    Ok(quote! {
        #krate::module::MethodEntry::life(
            #number,
            #name,
            |this: &Self, task: &#krate::module::LifeTask, ctx: &#krate::module::RunContext<'_>| {
                let _ = ctx;
                Self::#run(this, task #ctx)
            },
        )
    })
}

/// The task's type in `fn(&self, .. `before` arguments .., task: &Task[, ctx])`, and whether there
/// is a context.
fn signature(function: &ImplItemFn, before: usize) -> Result<(Type, bool)> {
    let sig = &function.sig;
    let shape = || {
        Error::new_spanned(
            sig,
            "a method must be `fn(&self, task: &Task)` or \
             `fn(&self, task: &Task, ctx: &RunContext<'_>)`",
        )
    };
    if let Some(word) = &sig.asyncness {
        return Err(Error::new(
            word.span(),
            "a method cannot be async: waiting in it already suspends the task",
        ));
    }
    match sig.receiver() {
        Some(this) if this.reference.is_some() && this.mutability.is_none() => {}
        Some(this) => {
            return Err(Error::new_spanned(
                this,
                "a method must take `&self`, because it may run on several workers at once",
            ))
        }
        None => return Err(shape()),
    }
    let args: Vec<&FnArg> = sig.inputs.iter().skip(1 + before).collect();
    let (FnArg::Typed(task), 1..=2) = (args.first().ok_or_else(shape)?, args.len()) else {
        return Err(shape());
    };
    match &*task.ty {
        Type::Reference(reference) if reference.mutability.is_none() => {
            Ok(((*reference.elem).clone(), args.len() == 2))
        }
        other => Err(Error::new(
            other.span(),
            "a method takes its task as `&Task`: it writes to cells, strings and vectors in it",
        )),
    }
}

/// The arguments of `#[method]`.
struct MethodArgs {
    number: Expr,
    name: Option<LitStr>,
    idempotent: bool,
}

impl Parse for MethodArgs {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let number = input.parse()?;
        let (mut name, mut idempotent) = (None, false);
        while input.parse::<Option<Token![,]>>()?.is_some() && !input.is_empty() {
            let word: Ident = input.parse()?;
            if word == "idempotent" && !idempotent {
                idempotent = true;
            } else if word == "name" && name.is_none() {
                input.parse::<Token![=]>()?;
                name = Some(input.parse()?);
            } else {
                let expected = "expected `name = \"kName\"` or `idempotent`, each once";
                return Err(Error::new(word.span(), expected));
            }
        }
        Ok(MethodArgs { number, name, idempotent })
    }
}

fn ours(attr: &Attribute) -> bool {
    ["create", "destroy", "release", "resume", "method", "monitor", "aggregate"]
        .iter()
        .any(|name| attr.path().is_ident(name))
        || life(attr).is_some()
}

/// One of the methods of a container's life.
struct Life {
    attribute: &'static str,
    number: u32,
    name: &'static str,
}

const LIFE: [Life; 4] = [
    Life { attribute: "node_failure", number: 2, name: "kNodeFailure" },
    Life { attribute: "recover", number: 3, name: "kRecover" },
    Life { attribute: "migrate", number: 4, name: "kMigrate" },
    Life { attribute: "upgrade", number: 5, name: "kUpgrade" },
];

/// The method of a container's life whose function this attribute marks.
fn life(attr: &Attribute) -> Option<&'static Life> {
    LIFE.iter().find(|life| attr.path().is_ident(life.attribute))
}

/// `put_all` → `kPutAll`.
fn k_name(ident: &Ident) -> String {
    let mut name = String::from("k");
    for word in ident.to_string().split('_') {
        let mut letters = word.chars();
        name.extend(letters.next().into_iter().flat_map(char::to_uppercase));
        name.extend(letters);
    }
    name
}

fn cstr(text: &LitStr) -> Result<Literal> {
    let c = CString::new(text.value())
        .map_err(|_| Error::new_spanned(text, "the name contains a zero byte"))?;
    let mut literal = Literal::c_string(&c);
    literal.set_span(text.span());
    Ok(literal)
}
