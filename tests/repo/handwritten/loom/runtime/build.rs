//! Brings the generated code up to date, and sets the soname of the library.

fn main() {
    chimaera_repo::build_script::runtime();
}
