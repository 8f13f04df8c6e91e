//! The parameters of a module's pools.

use std::borrow::Cow;
use std::ffi::{c_void, CStr, CString};

use chimaera_abi::{chi_archive, chi_status};
use chimaera_task::archive::{json_text, params_to_bytes, DescribedParam, SaveArchive};
use chimaera_task::{PoolParams, Result, Status};

use crate::panics::to_status;
use crate::Container;

/// Converts a pool's parameters into their canonical form, in which equal parameters are equal
/// bytes. The runtime requests it before it creates a pool or compares parameters with those of an
/// existing pool.
#[derive(Clone, Copy)]
pub struct ParamsForm {
    canonical: fn(&[u8]) -> Result<Vec<u8>>,
    /// The names of the pools that the parameters name, each followed by a zero byte.
    pools: fn(&[u8]) -> Result<Vec<u8>>,
    /// What the module says of them.
    described: fn() -> Vec<DescribedParam>,
}

impl ParamsForm {
    /// The canonical form of the parameter struct `P`.
    pub const fn of<P: PoolParams>() -> Self {
        ParamsForm {
            canonical: |bytes| params_to_bytes(&P::from_any(bytes)?),
            pools: |bytes| {
                let params = P::from_any(bytes)?;
                let names = params.pools();
                Ok(names.into_iter().flat_map(|name| name.bytes().chain([0])).collect())
            },
            described: || P::default().described(),
        }
    }
}

/// What a module says of itself: what the generator knows of its tasks, and of its parameters unless that knows them,
/// too. `None` if there is nothing to say.
pub(crate) fn describe<C: Container>(
    generated: Option<&'static CStr>,
) -> Option<Cow<'static, CStr>> {
    let params = C::PARAMS.map(|form| (form.described)()).unwrap_or_default();
    let text = generated.map_or("{\"format\":1}", |text| text.to_str().unwrap_or_default());
    // Quotes within a text have a backslash before them: this is a name, and no other object has such a member.
    let rest = text.strip_prefix("{\"format\":1").filter(|rest| !rest.contains(",\"params\":"));
    let whole = rest.filter(|_| !params.is_empty()).and_then(|rest| {
        let fields: Vec<String> = params.iter().map(json).collect();
        let whole =
            format!("{{\"format\":1,\"params\":{{\"fields\":[{}]}}{rest}", fields.join(","));
        CString::new(whole).ok()
    });
    whole.map(Cow::Owned).or(generated.map(Cow::Borrowed))
}

/// A parameter as JSON.
fn json(param: &DescribedParam) -> String {
    let form = &param.form;
    let mut json = format!("{{\"name\":{},\"type\":\"{}\"", json_text(param.name), form.ty);
    if form.optional {
        json += ",\"optional\":true";
    }
    if !form.words.is_empty() {
        let word = |(word, value): &(&str, i128)| {
            format!("{{\"name\":{},\"value\":{value}}}", json_text(word))
        };
        let words: Vec<String> = form.words.iter().map(word).collect();
        json += &format!(",\"words\":[{}]", words.join(","));
    }
    json += &format!(",\"default\":{}", param.value);
    if !param.doc.is_empty() {
        json += &format!(",\"doc\":{}", json_text(param.doc));
    }
    json + "}"
}

/// `chi_module_descriptor.params`.
///
/// # Safety
///
/// `params` points to `len` bytes, and `archive` to an archive for writing that is as long as its
/// size says.
pub(crate) unsafe extern "C" fn canonicalize<C: Container>(
    params: *const c_void,
    len: u64,
    archive: *mut chi_archive,
) -> chi_status {
    // SAFETY: guaranteed by the caller.
    to_status(|| unsafe { write::<C>(|form| form.canonical, params, len, archive) })
}

/// `chi_module_descriptor.pools`.
///
/// # Safety
///
/// As for [`canonicalize`].
pub(crate) unsafe extern "C" fn pools<C: Container>(
    params: *const c_void,
    len: u64,
    archive: *mut chi_archive,
) -> chi_status {
    // SAFETY: guaranteed by the caller.
    to_status(|| unsafe { write::<C>(|form| form.pools, params, len, archive) })
}

/// Writes what a function makes of the parameters.
///
/// # Safety
///
/// As for [`canonicalize`].
unsafe fn write<C: Container>(
    what: impl FnOnce(ParamsForm) -> fn(&[u8]) -> Result<Vec<u8>>,
    params: *const c_void,
    len: u64,
    archive: *mut chi_archive,
) -> Result<()> {
    let form = C::PARAMS.ok_or_else(|| Status::invalid("the module has no parameter struct"))?;
    let bytes = match len {
        0 => &[],
        // SAFETY: guaranteed by the caller.
        _ => unsafe { std::slice::from_raw_parts(params.cast::<u8>(), len as usize) },
    };
    let bytes = what(form)(bytes)?;
    // SAFETY: guaranteed by the caller.
    let mut archive = unsafe { SaveArchive::over(archive) }?;
    archive.put(&bytes)?;
    archive.flush()
}
