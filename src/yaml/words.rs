//! Words that were meant.

/// Whoever writes more letters than this did not mistype a word: all known ones are far shorter.
const LONGEST: usize = 64;

/// The known word that `word` was probably meant to be.
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
