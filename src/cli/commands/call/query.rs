//! Domain queries on the command line.

use chimaera_abi::*;

/// The names of the queries, their kinds, and whether they have a value.
const KINDS: [(&str, u32, bool); 6] = [
    ("dynamic", CHI_DOMAIN_DYNAMIC, false),
    ("local-id", CHI_DOMAIN_LOCAL_ID, true),
    ("local-hash", CHI_DOMAIN_LOCAL_HASH, true),
    ("global-id", CHI_DOMAIN_GLOBAL_ID, true),
    ("global-hash", CHI_DOMAIN_GLOBAL_HASH, true),
    ("global-bcast", CHI_DOMAIN_GLOBAL_BCAST, false),
];

/// Reads a domain query: `dynamic`, `global-id:3`, `global-hash:77`.
pub(crate) fn query(text: &str) -> Result<chi_domain_query, String> {
    let (name, value) =
        text.split_once(':').map_or((text, None), |(name, value)| (name, Some(value)));
    let known = KINDS.iter().find(|(known, ..)| *known == name);
    match (known, value.map(str::parse)) {
        (Some((_, kind, true)), Some(Ok(value))) => {
            Ok(chi_domain_query { kind_: *kind, value_: value })
        }
        (Some((_, kind, false)), None) => Ok(chi_domain_query { kind_: *kind, value_: 0 }),
        _ => {
            let all: Vec<String> = KINDS
                .iter()
                .map(|(name, _, has)| if *has { format!("{name}:N") } else { (*name).to_owned() })
                .collect();
            Err(format!("write one of {}", all.join(", ")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_have_the_values_that_they_need() {
        let read = |text| query(text).map(|query| (query.kind_, query.value_));
        assert_eq!(read("dynamic"), Ok((CHI_DOMAIN_DYNAMIC, 0)));
        assert_eq!(read("global-hash:4294967295"), Ok((CHI_DOMAIN_GLOBAL_HASH, u32::MAX)));
        for text in ["", "global-id", "dynamic:1", "global-id:-1", "everywhere"] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
