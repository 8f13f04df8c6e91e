//! Brings the generated code up to date, and gives the library its name as other programs see it.

fn main() {
    chimaera_repo::build_script::runtime();
}
