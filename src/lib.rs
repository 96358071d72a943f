pub mod cause;
pub mod event;
pub mod limits;
pub mod protocol;
