//! How users may write the name of a method.

use chimaera_yaml::nearest;

/// Whether a method is meant: by its name, which may lack its `k` and be written in small letters with hyphens or
/// underscores, or by its number.
pub(crate) fn is_meant(name: &str, number: u64, wanted: &str) -> bool {
    let plain = wanted.replace(['_', '-'], "");
    name == wanted
        || number.to_string() == wanted
        || name.eq_ignore_ascii_case(&plain)
        || name.get(1..).is_some_and(|stem| stem.eq_ignore_ascii_case(&plain))
}

/// The place of the method that is meant among these, each with its number. The error says which there are.
pub(crate) fn find(pool: &str, methods: &[(&str, u64)], wanted: &str) -> Result<usize, String> {
    let exact = methods.iter().position(|(name, _)| *name == wanted);
    let is = |(name, number): &(&str, u64)| is_meant(name, *number, wanted);
    exact.or_else(|| methods.iter().position(is)).ok_or_else(|| {
        let known: Vec<&str> = methods.iter().map(|(name, _)| *name).collect();
        // As the names are written, and without the k.
        let plain = wanted.strip_prefix('k').unwrap_or(wanted).to_lowercase();
        let stem = |name: &&str| name.strip_prefix('k').unwrap_or(name).to_lowercase();
        let stems: Vec<String> = known.iter().map(stem).collect();
        let stems: Vec<&str> = stems.iter().map(|stem| &stem[..]).collect();
        let near = nearest(&plain, &stems)
            .and_then(|near| stems.iter().position(|stem| *stem == near))
            .map(|index| known[index]);
        let help = match near {
            Some(near) => format!("did you mean '{near}'?"),
            None if known.is_empty() => "it has none that clients can call".to_owned(),
            None => format!("it has {}", known.join(", ")),
        };
        format!("pool '{pool}' has no method '{wanted}': {help}")
    })
}
