pub mod cause;
pub mod event;
pub mod limits;
pub mod management;
pub mod protocol;
pub mod relay;
pub mod switchboard;
