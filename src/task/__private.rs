//! Items that the expansions of the macros refer to. Not for direct use; they may change at any
//! time.

pub use crate::api::handle::lend;
pub use crate::archive::{
    json_text, load_elements, save_elements, set_from_text, DescribedParam, FromText, LoadArchive,
    PoolParams, SaveArchive, Serialize, SerializeElement, SerializeInPlace, TaskSerializers,
    TextForm,
};
pub use crate::shm::bytes::place_of;
pub use crate::shm::element::{collect, deepest, Part};
pub use crate::{Result, ShmVec, Status};
pub use chimaera_abi::{chi_field_layout, CHI_MAX_FIELD_DEPTH, CHI_MAX_TASK_SIZE, CHI_TASK_ALIGN};
