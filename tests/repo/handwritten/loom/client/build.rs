//! Brings the generated code up to date.

fn main() {
    chimaera_repo::build_script::client();
}
