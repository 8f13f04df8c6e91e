//! The page: one document that needs nothing else.

use chimaera_http::Reply;

/// Puts the parts into one document, which may run and apply only what has this `nonce`, and connects to nobody but the
/// server.
pub(super) fn page(nonce: &str) -> Reply {
    let mut document = include_str!("page/index.html").to_owned();
    let parts = [
        ("uPlot.LICENSE", include_str!("page/uPlot.LICENSE")),
        ("uPlot.min.css", include_str!("page/uPlot.min.css")),
        ("page.css", include_str!("page/page.css")),
        ("uPlot.iife.min.js", include_str!("page/uPlot.iife.min.js")),
        ("page.js", include_str!("page/page.js")),
        ("nonce", nonce),
    ];
    for (name, part) in parts {
        document = document.replace(&format!("{{{{{name}}}}}"), part);
    }
    let policy = format!(
        "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; connect-src 'self'; \
         img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    let reply = Reply::ok("text/html; charset=utf-8", document);
    Reply { policy: Some(policy), ..reply }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_left_out_and_nothing_comes_from_elsewhere() {
        let reply = page("0123");
        let document = std::str::from_utf8(&reply.body).unwrap();
        assert!(!document.contains("{{"), "a part is missing");
        assert_eq!(document.matches("nonce=\"0123\"").count(), 4);
        for elsewhere in ["src=\"", "@import", "href=\"http"] {
            assert!(!document.contains(elsewhere), "{elsewhere}");
        }
        assert!(document.contains("Permission is hereby granted"));
    }
}
