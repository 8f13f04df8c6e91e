//! Pool parameters: structs, encoded as bytes or as text.

use core::fmt;
use core::ops::Deref;

use super::{from_bytes, to_bytes, LoadArchive, SaveArchive, Serialize};
use crate::status::{Result, Status};

/// The version of the parameter format: the first byte of encoded parameters.
const PARAMS_VERSION: u8 = 1;

/// Encodes the parameters of a pool: no bytes when they are the defaults, else the byte 1 (the
/// format version) and the value.
///
/// ```
/// use chimaera::archive::{params_from_bytes, params_to_bytes};
///
/// #[derive(Debug, Default, PartialEq, chimaera::Serialize)]
/// struct Params {
///     level: i32,
/// }
///
/// assert_eq!(params_to_bytes(&Params { level: 3 })?, [1, 3, 0, 0, 0]);
/// assert!(params_to_bytes(&Params::default())?.is_empty());
/// assert_eq!(params_from_bytes::<Params>(&[])?, Params { level: 0 });
/// # Ok::<(), chimaera::Status>(())
/// ```
pub fn params_to_bytes<P: Serialize + Default>(params: &P) -> Result<Vec<u8>> {
    let value = to_bytes(params)?;
    if value == to_bytes(&P::default())? {
        return Ok(Vec::new());
    }
    Ok([vec![PARAMS_VERSION], value].concat())
}

/// Decodes the parameters of a pool. Errors as [`from_bytes`].
pub fn params_from_bytes<P: Serialize + Default>(bytes: &[u8]) -> Result<P> {
    match bytes.first() {
        None => Ok(P::default()),
        Some(&PARAMS_VERSION) => from_bytes::<(u8, P)>(bytes).map(|(_, params)| params),
        Some(version) => Err(Status::invalid(format!(
            "the first byte is {version}, but the format version is {PARAMS_VERSION}"
        ))),
    }
    .map_err(|status| status.context("malformed pool parameters"))
}

/// The parameters of a module's pools. Derive it for a struct whose fields are [`FromText`], so
/// that a command line or a file can state them as text: comma-separated `NAME=VALUE` pairs for the
/// fields that differ from their defaults. A value that contains commas or quotes, or that begins
/// or ends with a space, must be in double quotes, where `\"` stands for a quote and `\\` for a
/// backslash.
///
/// ```
/// use chimaera::{FromText, PoolParams, Serialize};
///
/// #[derive(Debug, Default, PartialEq, Serialize, FromText)]
/// #[repr(u8)]
/// pub enum Mode {
///     #[default]
///     Fast,
///     VerySmall,
/// }
///
/// #[derive(Debug, Default, PartialEq, Serialize, PoolParams)]
/// pub struct Settings {
///     pub level: u8,
///     pub limit: Option<u64>,
///     pub mode: Mode,
///     pub path: String,
/// }
///
/// let settings = Settings::from_any(br#"limit=9,mode=very_small,path="/a, b""#)?;
/// let path = "/a, b".to_owned();
/// assert_eq!(settings, Settings { level: 0, limit: Some(9), mode: Mode::VerySmall, path });
/// assert_eq!(Settings::from_any(&chimaera::archive::params_to_bytes(&settings)?)?, settings);
///
/// let why = |text: &str| Settings::from_text(text).unwrap_err().message().to_owned();
/// assert_eq!(
///     why("level=256"),
///     "the parameter level is \"256\", but must be a number from 0 to 255"
/// );
/// assert_eq!(
///     why("mode=slow"),
///     "the parameter mode is \"slow\", but must be one of fast, very_small"
/// );
/// assert_eq!(
///     why("size=1"),
///     "there is no parameter \"size\"; known parameters: level, limit, mode, path"
/// );
/// # Ok::<(), chimaera::Status>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the parameters of a pool",
    note = "give the struct `#[derive(Default, chimaera::Serialize, chimaera::PoolParams)]`"
)]
pub trait PoolParams: Serialize + Default {
    /// The names of the fields.
    const NAMES: &'static [&'static str];

    /// Sets a field from text. `None` when there is no such field; the error describes the valid
    /// values.
    fn set(&mut self, name: &str, text: &str) -> Option<core::result::Result<(), String>>;

    /// The pools that the fields of type [`PoolName`] name, in order.
    fn pools(&self) -> Vec<&str> {
        Vec::new()
    }

    /// What a module says of its parameters: the fields, with the values that they have here. Empty if one of them
    /// has a type that does not say how it is encoded.
    fn described(&self) -> Vec<DescribedParam> {
        Vec::new()
    }

    /// Parses the parameters from text. Errors: `CHI_INVALID`; the message names the parameter.
    fn from_text(text: &str) -> Result<Self> {
        let mut params = Self::default();
        let mut seen: Vec<String> = Vec::new();
        let mut rest = text.trim_matches(BLANKS);
        while !rest.is_empty() {
            let name_end = rest.find(['=', ',']).unwrap_or(rest.len());
            let name = rest[..name_end].trim_matches(BLANKS);
            if !rest[name_end..].starts_with('=') {
                return Err(Status::invalid(format!(
                    "the parameter \"{}\" has no value: write NAME=VALUE, and separate parameters \
                     with commas",
                    excerpt(name)
                )));
            }
            let (value, after) = take_value(&rest[name_end + 1..])
                .map_err(|why| Status::invalid(format!("the parameter {} {why}", excerpt(name))))?;
            if seen.iter().any(|other| other == name) {
                return Err(Status::invalid(format!("the parameter {name} is given twice")));
            }
            match params.set(name, &value) {
                Some(Ok(())) => seen.push(name.to_owned()),
                Some(Err(expected)) => {
                    return Err(Status::invalid(format!(
                        "the parameter {name} is \"{}\", but must be {expected}",
                        excerpt(&value)
                    )))
                }
                None => {
                    let names = match Self::NAMES {
                        [] => "none".to_owned(),
                        names => names.join(", "),
                    };
                    return Err(Status::invalid(format!(
                        "there is no parameter \"{}\"; known parameters: {names}",
                        excerpt(name)
                    )));
                }
            }
            rest = after;
        }
        Ok(params)
    }

    /// Decodes the parameters from bytes or text; text never begins with the byte 1. Errors:
    /// `CHI_INVALID`; the message says what is wrong.
    fn from_any(bytes: &[u8]) -> Result<Self> {
        match bytes {
            [] | [0..=8, ..] => params_from_bytes(bytes),
            text => match core::str::from_utf8(text) {
                Ok(text) => Self::from_text(text),
                Err(_) => Err(Status::invalid(
                    "parameters that are neither text nor begin with the version of their format",
                )),
            },
        }
    }
}

/// What a module says of a parameter.
pub struct DescribedParam {
    /// Its name.
    pub name: &'static str,
    /// Its documentation; empty for none.
    pub doc: &'static str,
    /// How it is encoded.
    pub form: TextForm,
    /// Its value, as JSON.
    pub value: String,
}

/// How the values of a type are encoded, for programs that show them.
#[derive(Clone, Copy)]
pub struct TextForm {
    /// `u8` to `u64`, `i8` to `i64`, `f32`, `f64`, `bool`, `string` or `pool`.
    pub ty: &'static str,
    /// A byte before the value says whether there is one.
    pub optional: bool,
    /// The words for numbers, if the values are words.
    pub words: &'static [(&'static str, i128)],
}

impl TextForm {
    /// That of a plain value.
    pub const fn of(ty: &'static str) -> Self {
        TextForm { ty, optional: false, words: &[] }
    }
}

/// Ignored around names and values, and at the end of the text.
const BLANKS: [char; 4] = [' ', '\t', '\r', '\n'];

/// The value at the start of a text, and the text after the comma that follows it.
fn take_value(text: &str) -> core::result::Result<(String, &str), &'static str> {
    let text = text.trim_start_matches(BLANKS);
    let Some(quoted) = text.strip_prefix('"') else {
        let (value, rest) = text.split_once(',').unwrap_or((text, ""));
        return Ok((value.trim_end_matches(BLANKS).to_owned(), rest.trim_start_matches(BLANKS)));
    };
    let mut value = String::new();
    let mut letters = quoted.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => {
                let rest = quoted[at + 1..].trim_start_matches(BLANKS);
                return match rest.strip_prefix(',') {
                    Some(rest) => Ok((value, rest.trim_start_matches(BLANKS))),
                    None if rest.is_empty() => Ok((value, rest)),
                    None => Err("has text after its closing quote"),
                };
            }
            '\\' => match letters.next() {
                Some((_, letter @ ('"' | '\\'))) => value.push(letter),
                _ => return Err("has a backslash that is not followed by a quote or a backslash"),
            },
            letter => value.push(letter),
        }
    }
    Err("has an unterminated quote")
}

/// The beginning of a text, for a message.
fn excerpt(text: &str) -> &str {
    const MOST: usize = 64;
    let end = text.char_indices().map(|(at, _)| at).find(|at| *at >= MOST);
    &text[..end.unwrap_or(text.len())]
}

/// A type that can be written as text in the parameters of a pool: numbers, `bool` (`true` and
/// `false`), `String`, [`PoolName`], an `Option` of those, and enums without data that derive it, whose
/// variants are written in lower case.
#[diagnostic::on_unimplemented(
    message = "a `{Self}` cannot be written as text",
    note = "parameters are numbers, `bool`, `String`, `PoolName`, `Option`s of those, and enums with `#[derive(chimaera::FromText)]`"
)]
pub trait FromText: Sized {
    /// Parses the value; `None` when the text is not valid.
    fn from_text(text: &str) -> Option<Self>;

    /// Describes the valid texts, for example `"a number from 0 to 255"`.
    fn expected() -> String;

    /// How the value is encoded. `None` if nothing is known of it: programs then do not show the parameters.
    const FORM: Option<TextForm> = None;

    /// The value as JSON.
    fn to_json(&self) -> String {
        "null".into()
    }

    /// The pool that the value names: only a [`PoolName`] does, unless it is empty.
    fn pool(&self) -> Option<&str> {
        None
    }
}

/// A text as JSON.
pub fn json_text(text: &str) -> String {
    let mut json = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' | '\\' => json.extend(['\\', letter]),
            letter if letter < ' ' => json += &format!("\\u{:04x}", letter as u32),
            letter => json.push(letter),
        }
    }
    json + "\""
}

/// The name of a pool, as a parameter of another pool; empty for none. Where a `String` would only be
/// text, this makes the other pool depend on the one that it names, whether or not its containers open
/// that one while they are created. It is encoded as a `String`.
///
/// ```
/// use chimaera::{PoolName, PoolParams, Serialize};
///
/// #[derive(Default, Serialize, PoolParams)]
/// struct Params {
///     device: PoolName,
///     mirror: PoolName,
/// }
///
/// let params = Params::from_text("device=disk")?;
/// assert_eq!(&*params.device, "disk");
/// assert_eq!(params.pools(), ["disk"]);
/// # Ok::<(), chimaera::Status>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PoolName(String);

impl Deref for PoolName {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PoolName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<&str> for PoolName {
    fn from(name: &str) -> Self {
        PoolName(name.to_owned())
    }
}

impl From<String> for PoolName {
    fn from(name: String) -> Self {
        PoolName(name)
    }
}

impl From<PoolName> for String {
    fn from(name: PoolName) -> Self {
        name.0
    }
}

impl Serialize for PoolName {
    fn save(&self, archive: &mut SaveArchive<'_>) -> Result<()> {
        self.0.save(archive)
    }
    fn load(archive: &mut LoadArchive<'_>) -> Result<Self> {
        String::load(archive).map(PoolName)
    }
}

impl FromText for PoolName {
    fn from_text(text: &str) -> Option<Self> {
        Some(PoolName(text.to_owned()))
    }
    fn expected() -> String {
        "the name of a pool".into()
    }
    const FORM: Option<TextForm> = Some(TextForm::of("pool"));
    fn to_json(&self) -> String {
        json_text(&self.0)
    }
    fn pool(&self) -> Option<&str> {
        Some(&*self.0).filter(|name| !name.is_empty())
    }
}

macro_rules! integers {
    ($($type:ty)*) => {$(
        impl FromText for $type {
            fn from_text(text: &str) -> Option<Self> {
                // `parse` would accept a plus sign: each number shall have only one form.
                if text.starts_with('+') { None } else { text.parse().ok() }
            }
            fn expected() -> String {
                format!("a number from {} to {}", <$type>::MIN, <$type>::MAX)
            }
            const FORM: Option<TextForm> = Some(TextForm::of(stringify!($type)));
            fn to_json(&self) -> String {
                self.to_string()
            }
        }
    )*};
}

integers!(u8 u16 u32 u64 i8 i16 i32 i64);

macro_rules! floats {
    ($($type:ty)*) => {$(
        impl FromText for $type {
            fn from_text(text: &str) -> Option<Self> {
                // Neither infinities nor NaN.
                let number = text.starts_with(|c: char| c.is_ascii_digit() || c == '-');
                text.parse().ok().filter(|value: &$type| number && value.is_finite())
            }
            fn expected() -> String {
                "a number like 0.5 or 1e9".into()
            }
            const FORM: Option<TextForm> = Some(TextForm::of(stringify!($type)));
            fn to_json(&self) -> String {
                match self.is_finite() {
                    true => format!("{self:?}"),
                    false => "null".into(),
                }
            }
        }
    )*};
}

floats!(f32 f64);

impl FromText for bool {
    fn from_text(text: &str) -> Option<Self> {
        text.parse().ok()
    }
    fn expected() -> String {
        "true or false".into()
    }
    const FORM: Option<TextForm> = Some(TextForm::of("bool"));
    fn to_json(&self) -> String {
        self.to_string()
    }
}

impl FromText for String {
    fn from_text(text: &str) -> Option<Self> {
        Some(text.to_owned())
    }
    fn expected() -> String {
        "text".into()
    }
    const FORM: Option<TextForm> = Some(TextForm::of("string"));
    fn to_json(&self) -> String {
        json_text(self)
    }
}

impl<T: FromText> FromText for Option<T> {
    fn from_text(text: &str) -> Option<Self> {
        T::from_text(text).map(Some)
    }
    fn expected() -> String {
        T::expected()
    }
    const FORM: Option<TextForm> = match T::FORM {
        // Of an optional optional value, text has only one form.
        Some(form) if !form.optional => Some(TextForm { optional: true, ..form }),
        _ => None,
    };
    fn to_json(&self) -> String {
        self.as_ref().map_or_else(|| "null".into(), T::to_json)
    }
    fn pool(&self) -> Option<&str> {
        self.as_ref().and_then(T::pool)
    }
}

#[doc(hidden)]
pub fn set_from_text<T: FromText>(field: &mut T, text: &str) -> core::result::Result<(), String> {
    *field = T::from_text(text).ok_or_else(T::expected)?;
    Ok(())
}
