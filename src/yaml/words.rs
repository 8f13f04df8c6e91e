//! Suggestions for mistyped words.
/// Longer words get no suggestion: all known words are far shorter.
const LONGEST: usize = 64;

/// The known word that is most similar to `word`, if one is similar enough.
pub fn nearest<'w>(word: &str, known: &[&'w str]) -> Option<&'w str> {
    let letters = word.chars().take(LONGEST + 1).count();
    if letters > LONGEST {
        return None;
    }
    let limit = 1 + letters.min(12) / 5;
    known
        .iter()
        .map(|known| (strsim::osa_distance(word, known), *known))
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_found_and_no_far_one() {
        assert_eq!(nearest("namepsace", &["namespace", "version"]), Some("namespace"));
        assert_eq!(nearest("verison", &["namespace", "version"]), Some("version"));
        assert_eq!(nearest("colour", &["namespace", "version"]), None);
        assert_eq!(
            nearest("versoin", &["namespace", "version"]),
            Some("version"),
            "letters swapped"
        );
        assert_eq!(nearest(&"version".repeat(99), &["version"]), None);
    }
}
