//! The JSON Schemas of the two files, by which editors complete and check them.
//!
//! A schema cannot say all that the readers check: that a number is there once, say, or that a name is
//! no keyword. What it refuses, they refuse.

/// Of `chimaera_repo.yaml`.
pub const REPO_SCHEMA: &str = include_str!("schema/chimaera_repo.schema.json");
/// Of `chimaera_mod.yaml`.
pub const MODULE_SCHEMA: &str = include_str!("schema/chimaera_mod.schema.json");

#[cfg(test)]
mod tests {
    use std::path::Path;

    use chimaera_yaml::{Kind, Node, Report};
    use serde_json::Value;

    use super::*;

    /// What only the readers find.
    const TOO_FINE: [&str; 3] = ["latin.repo", "syntax.repo", "two.repo"];

    fn json(node: &Node) -> Value {
        match &node.kind {
            Kind::Scalar { text, plain } => match chimaera_yaml::integer(node) {
                Ok(number) => number.into(),
                Err(_) if *plain && (text.is_empty() || text == "~" || text == "null") => {
                    Value::Null
                }
                Err(_) => match text.parse::<f64>() {
                    Ok(number) if *plain => number.into(),
                    _ => text.clone().into(),
                },
            },
            Kind::Sequence(items) => items.iter().map(json).collect(),
            Kind::Mapping(entries) => entries
                .iter()
                .map(|entry| (entry.key.clone(), json(&entry.value)))
                .collect::<serde_json::Map<_, _>>()
                .into(),
            Kind::Refused => Value::Null,
        }
    }

    fn check(kind: &str, mut verdict: impl FnMut(&str, bool)) {
        let validator =
            |text| jsonschema::validator_for(&serde_json::from_str(text).unwrap()).unwrap();
        let schemas = [("repo", validator(REPO_SCHEMA)), ("mod", validator(MODULE_SCHEMA))];
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(kind);
        let mut seen = 0;
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            let Some(name) = name.strip_suffix(".yaml") else { continue };
            let mut report = Report::new(&path);
            let root = chimaera_yaml::parse(&std::fs::read(&path).unwrap(), &mut report);
            let (_, schema) = schemas.iter().find(|(kind, _)| name.ends_with(kind)).unwrap();
            let document = root.as_ref().map_or(Value::Null, json);
            verdict(name, schema.is_valid(&document));
            seen += 1;
        }
        assert!(seen > 0);
    }

    #[test]
    fn good_files_are_good_by_the_schemas_too() {
        check("good", |name, valid| assert!(valid, "{name}"));
    }

    #[test]
    fn bad_files_are_bad_by_the_schemas_too() {
        check("bad", |name, valid| {
            let too_fine = TOO_FINE.contains(&name) || name.starts_with("fine_");
            assert!(!valid || too_fine, "{name}");
        });
    }
}
