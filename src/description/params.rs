//! The parameters with which a pool was created, read from their bytes.

use serde_json::{json, Map, Value as Json};

use crate::json::{Param, Params};
use crate::spelling::shown;

/// The first byte of parameters that are not all defaults: the version of their form, `docs/wire-format.md`.
const VERSION: u8 = 1;

impl Params {
    /// The value of each parameter of a pool, by the bytes that the runtime keeps of them. Numbers that JSON has no form for
    /// are `null`.
    ///
    /// # Errors
    /// The bytes are not of these parameters; the message says where they end being so.
    ///
    /// ```
    /// # use chimaera_description::Description;
    /// let text = r#"{"format": 1, "params": {"fields": [{"name": "level", "type": "i32", "default": 3}]}}"#;
    /// let params = Description::from_json(text)?.params.ok_or("no parameters")?;
    /// assert_eq!(params.values(&[])?["level"], 3);
    /// assert_eq!(params.values(&[1, 19, 0, 0, 0])?["level"], 19);
    /// # Ok::<(), String>(())
    /// ```
    pub fn values(&self, bytes: &[u8]) -> Result<Map<String, Json>, String> {
        let Some((version, mut rest)) = bytes.split_first() else {
            let default = |param: &Param| {
                (param.name.clone(), param.default.clone().unwrap_or_else(|| zero(param)))
            };
            return Ok(self.fields.iter().map(default).collect());
        };
        if *version != VERSION {
            return Err(format!("the parameters are of version {version}"));
        }
        let mut values = Map::new();
        for param in &self.fields {
            let value = read_param(param, &mut rest);
            let value =
                value.map_err(|why| format!("parameter '{}': {why}", shown(&param.name)))?;
            values.insert(param.name.clone(), value);
        }
        match rest.len() {
            0 => Ok(values),
            left => Err(format!("{left} bytes are left after the parameters")),
        }
    }
}

/// What a parameter without a default is.
fn zero(param: &Param) -> Json {
    match &param.ty[..] {
        _ if param.optional => Json::Null,
        "bool" => json!(false),
        "string" | "pool" => json!(""),
        _ => json!(0),
    }
}

fn read_param(param: &Param, rest: &mut &[u8]) -> Result<Json, String> {
    if param.optional {
        match take(rest)? {
            [0] => return Ok(Json::Null),
            [1] => {}
            [other] => {
                return Err(format!("0 or 1 says whether there is a value, and not {other}"))
            }
        }
    }
    let value = read(&param.ty, rest)?;
    if param.words.is_empty() {
        return Ok(value);
    }
    let number = value.as_i64().map(i128::from).or(value.as_u64().map(i128::from));
    let word = param.words.iter().find(|word| Some(word.value) == number);
    word.map(|word| json!(word.name)).ok_or_else(|| format!("{value} is none of its values"))
}

fn read(ty: &str, rest: &mut &[u8]) -> Result<Json, String> {
    Ok(match ty {
        "u8" => json!(u8::from_le_bytes(take(rest)?)),
        "u16" => json!(u16::from_le_bytes(take(rest)?)),
        "u32" => json!(u32::from_le_bytes(take(rest)?)),
        "u64" => json!(u64::from_le_bytes(take(rest)?)),
        "i8" => json!(i8::from_le_bytes(take(rest)?)),
        "i16" => json!(i16::from_le_bytes(take(rest)?)),
        "i32" => json!(i32::from_le_bytes(take(rest)?)),
        "i64" => json!(i64::from_le_bytes(take(rest)?)),
        "f32" => json!(f32::from_le_bytes(take(rest)?)),
        "f64" => json!(f64::from_le_bytes(take(rest)?)),
        "bool" => match take(rest)? {
            [0] => json!(false),
            [1] => json!(true),
            [other] => return Err(format!("a bool is 0 or 1, and not {other}")),
        },
        "string" | "pool" => {
            let length = u64::from_le_bytes(take(rest)?);
            let end = usize::try_from(length).ok().filter(|end| *end <= rest.len());
            let (text, left) = rest.split_at(end.ok_or("the bytes end before the text does")?);
            *rest = left;
            json!(String::from_utf8_lossy(text))
        }
        other => return Err(format!("the type {} is not known", shown(other))),
    })
}

fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], String> {
    let (taken, left) = rest.split_first_chunk().ok_or("the bytes end before it does")?;
    *rest = left;
    Ok(*taken)
}

#[cfg(test)]
mod tests {
    use crate::Description;

    fn params() -> crate::Params {
        let text = r#"{"format": 1, "params": {"fields": [
            {"name": "level", "type": "i32", "default": -3},
            {"name": "name", "type": "string"},
            {"name": "exact", "type": "bool", "default": true},
            {"name": "share", "type": "f32"},
            {"name": "beside", "type": "pool"},
            {"name": "most", "type": "u16", "optional": true},
            {"name": "mode", "type": "u8", "words": [{"name": "fast", "value": 0},
                {"name": "small", "value": 4}], "default": "fast"}]}}"#;
        Description::from_json(text).unwrap().params.unwrap()
    }

    fn bytes() -> Vec<u8> {
        let text = |text: &str| [&(text.len() as u64).to_le_bytes()[..], text.as_bytes()].concat();
        [
            &[1][..],
            &7i32.to_le_bytes(),
            &text("a, b"),
            &[0],
            &0.5f32.to_le_bytes(),
            &text(""),
            &[1, 9, 0],
            &[4],
        ]
        .concat()
    }

    #[test]
    fn each_parameter_has_its_value() {
        let of =
            |bytes: &[u8]| serde_json::Value::from(params().values(bytes).unwrap()).to_string();
        assert_eq!(
            of(&bytes()),
            r#"{"level":7,"name":"a, b","exact":false,"share":0.5,"beside":"","most":9,"mode":"small"}"#
        );
        assert_eq!(
            of(&[]),
            r#"{"level":-3,"name":"","exact":true,"share":0,"beside":"","most":null,"mode":"fast"}"#
        );
    }

    #[test]
    fn other_bytes_are_refused_wherever_they_differ() {
        let whole = bytes();
        for end in 1..whole.len() {
            let why = params().values(&whole[..end]).unwrap_err();
            assert!(why.contains("end before"), "{end}: {why}");
        }
        for (at, byte, wanted) in [
            (0, 2, "version 2"),
            (5, 200, "end before"),
            (17, 9, "0 or 1"),
            (30, 2, "0 or 1"),
            (33, 3, "none of its values"),
        ] {
            let mut other = whole.clone();
            other[at] = byte;
            let why = params().values(&other).unwrap_err();
            assert!(why.contains(wanted), "{at}: {why}");
        }
        let why = params().values(&[&whole[..], &[0]].concat()).unwrap_err();
        assert!(why.contains("1 bytes are left"), "{why}");
    }
}
