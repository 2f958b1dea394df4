//! For the crate's own tests: the facts that the kinds were drafted from, where they are at hand.

/// A file of the shared folder: below `ROLLBACKD_SHARED`, or beside the crate. Says so where it is absent: the check
/// that needs it is then not made.
pub fn shared(path: &str) -> Option<String> {
    let root = std::env::var("ROLLBACKD_SHARED")
        .unwrap_or_else(|_| concat!(env!("CARGO_MANIFEST_DIR"), "/../shared").to_owned());
    let file = std::path::Path::new(&root).join(path);
    match std::fs::read_to_string(&file) {
        Ok(text) => Some(text),
        Err(e) => {
            eprintln!("NOT CHECKED: {} cannot be read ({e}); set ROLLBACKD_SHARED to its folder", file.display());
            None
        }
    }
}
