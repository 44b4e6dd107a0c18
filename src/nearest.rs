//! Which of the known names somebody may have meant who wrote another one.

/// The least that two names must have in common, from 0 to 1, before one is proposed for the other.
const ALIKE: f64 = 0.6;

/// The one of `known` that is nearest to `name`, without regard to case; `None` where none is near.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let name = name.to_lowercase();
    let alike = |known: &str| strsim::normalized_damerau_levenshtein(&name, &known.to_lowercase());
    known
        .into_iter()
        .map(|known| (alike(known), known))
        .filter(|(alike, _)| ALIKE <= *alike)
        // Of several the first.
        .reduce(|best, next| if best.0 < next.0 { next } else { best })
        .map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_of_the_pen_are_understood() {
        let known = ["userRole", "repoQuery", "query", "includedFiles"];
        for (name, meant) in [
            ("reopQuery", Some("repoQuery")),
            ("UserRoles", Some("userRole")),
            ("qurey", Some("query")),
            ("includeFiles", Some("includedFiles")),
            ("maxResults", None),
            ("", None),
        ] {
            assert_eq!(nearest(name, known), meant, "{name}");
        }
        assert_eq!(nearest("x", []), None);
    }
}
