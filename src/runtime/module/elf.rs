//! Judges a file by reading it, before any of its code runs.

use std::collections::HashSet;
use std::fs::File;
use std::path::Path;

use memchr::memmem;
use object::elf;
use object::read::elf::{FileHeader, ProgramHeader, SectionHeader, SectionTable, Sym};
use object::read::{ReadCache, ReadRef, StringTable};
use object::Endianness;

/// The symbols of the contract.
pub(crate) const SYMBOLS: [&str; 5] =
    ["is_chimaera_task_", "get_module_name", "alloc_state", "new_state", "chi_module"];

/// What a file is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It exports the whole contract.
    Module,
    /// It is not a module: not a shared library, or one without any symbol of the contract.
    Other(String),
    /// It exports part of the contract, or is damaged.
    Broken(String),
}

/// Judges the file at `path`.
pub(crate) fn judge(path: &Path) -> Verdict {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) => return Verdict::Broken(format!("cannot be read: {error}")),
    };
    let len = match file.metadata() {
        Ok(found) => found.len(),
        Err(error) => return Verdict::Broken(format!("cannot be read: {error}")),
    };
    // Unbuffered: the reads are few and large, and a buffer would only read more than is needed.
    let cache = ReadCache::new(file);
    match examine(&cache, len) {
        Ok(verdict) => verdict,
        Err(error) => Verdict::Broken(format!("a damaged shared library: {error}")),
    }
}

pub(crate) fn examine<'data, R: ReadRef<'data>>(data: R, len: u64) -> object::Result<Verdict> {
    let not_library = |why: &str| Ok(Verdict::Other(format!("not a shared library: {why}")));
    match data.read_bytes_at(0, 4) {
        Ok(magic) if magic == elf::ELFMAG => {}
        Err(()) if len >= 4 => return Ok(Verdict::Broken("cannot be read".into())),
        _ => return not_library("it is not an ELF file"),
    }
    let header = elf::FileHeader64::<Endianness>::parse(data)?;
    let endian = header.endian()?;
    if header.e_type(endian) != elf::ET_DYN {
        return not_library("it is another type of ELF file");
    }
    let machine = if cfg!(target_arch = "aarch64") { elf::EM_AARCH64 } else { elf::EM_X86_64 };
    if header.e_machine(endian) != machine {
        return not_library("it is for another processor");
    }
    for segment in header.program_headers(endian, data)? {
        let end = segment.p_offset(endian).checked_add(segment.p_filesz(endian));
        if segment.p_type(endian) == elf::PT_LOAD && end.is_none_or(|end| end > len) {
            return Ok(Verdict::Broken("a truncated shared library".into()));
        }
    }
    let sections = header.sections(endian, data)?;
    // Without section headers, only loading the file would show what it exports.
    if sections.iter().all(|section| section.sh_type(endian) != elf::SHT_DYNSYM) {
        return Ok(Verdict::Other("not a module: it has no dynamic symbol table".into()));
    }
    let found = exported(&sections, endian, data)?;
    if found.len() == SYMBOLS.len() {
        return Ok(Verdict::Module);
    }
    if found.is_empty() {
        return Ok(Verdict::Other("not a module: it exports no symbol of the contract".into()));
    }
    let list = |has: bool| {
        let names: Vec<&str> =
            SYMBOLS.iter().copied().filter(|name| found.contains(name) == has).collect();
        names.join(", ")
    };
    Ok(Verdict::Broken(format!("exports {} but not {}", list(true), list(false))))
}

/// The symbols of the contract that a file exports.
pub(crate) fn exported<'data, R: ReadRef<'data>>(
    sections: &SectionTable<'data, elf::FileHeader64<Endianness>, R>,
    endian: Endianness,
    data: R,
) -> object::Result<HashSet<&'static str>> {
    let mut found = HashSet::new();
    let is_dynamic =
        |section: &&elf::SectionHeader64<_>| section.sh_type(endian) == elf::SHT_DYNSYM;
    let Some(table) = sections.iter().find(is_dynamic) else { return Ok(found) };
    let names = sections.section(table.link(endian))?.data(endian, data)?;
    // Most files in a directory of libraries are not modules, and one search of all names shows
    // that.
    if SYMBOLS.iter().all(|symbol| memmem::find(names, symbol.as_bytes()).is_none()) {
        return Ok(found);
    }
    let strings = StringTable::new(names, 0, names.len() as u64);
    for symbol in table.data_as_array::<elf::Sym64<Endianness>, _>(endian, data)? {
        if symbol.is_undefined(endian) {
            continue;
        }
        if let Ok(name) = symbol.name(endian, strings) {
            if let Some(known) = SYMBOLS.iter().find(|known| known.as_bytes() == name) {
                found.insert(*known);
            }
        }
    }
    Ok(found)
}
