//! Words that were meant.

/// The known word that `word` was probably meant to be.
pub fn nearest<'w>(word: &str, known: &[&'w str]) -> Option<&'w str> {
    let limit = 1 + word.chars().count().min(12) / 5;
    known
        .iter()
        .map(|known| (distance(word, known), *known))
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, known)| known)
}

/// How many letters must be changed, put in, taken out or swapped with the next to get from `a` to
/// `b`.
fn distance(a: &str, b: &str) -> usize {
    const MAX: usize = 64;
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().take(MAX).collect(), b.chars().collect());
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            rows[i][j] = if i == 0 || j == 0 {
                i + j
            } else {
                let changed = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
                let mut best = changed.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
                if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                    best = best.min(rows[i - 2][j - 2] + 1);
                }
                best
            };
        }
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_found_and_no_far_one() {
        assert_eq!(nearest("namepsace", &["namespace", "version"]), Some("namespace"));
        assert_eq!(nearest("verison", &["namespace", "version"]), Some("version"));
        assert_eq!(nearest("colour", &["namespace", "version"]), None);
    }
}
