//! The settings for a machine of its own, which trade the machine for the last microseconds, and those
//! for measurements.

use super::super::setting::{Group, Kind, Setting};
use super::{YES_OR_NO, put, put_yes_or_no, show_yes_or_no};
use crate::config::UdpSend;

pub(super) const MACHINE: &[Setting] = &[
    Setting {
        option: "busy-poll",
        field: "busy_poll",
        group: Group::BareMetal,
        kind: Kind::YesNo,
        value: "yes|no",
        help: "never sleep: saves some microseconds, uses a whole CPU",
        expected: YES_OR_NO,
        set: |config, text| put_yes_or_no(&mut config.busy_poll, text),
        show: |config| show_yes_or_no(config.busy_poll),
    },
    Setting {
        option: "pin-to-cpu",
        field: "pin_to_cpu",
        group: Group::BareMetal,
        kind: Kind::NumberOrWord,
        value: "N",
        help: "keep the loop on this CPU (Linux)",
        expected: "a CPU's number from 0 to 1023, or any",
        set: |config, text| {
            config.pin_to_cpu = match text {
                "any" => None,
                number => Some(number.parse().ok()?),
            };
            Some(())
        },
        show: |config| {
            config
                .pin_to_cpu
                .map_or("any".into(), |cpu| cpu.to_string())
        },
    },
    Setting {
        option: "realtime-priority",
        field: "realtime_priority",
        group: Group::BareMetal,
        kind: Kind::Number,
        value: "N",
        help: "run before everything with a lower priority (SCHED_FIFO; Linux, CAP_SYS_NICE)",
        expected: "a whole number from 1 to 99, or 0 for none",
        set: |config, text| put(&mut config.realtime_priority, text),
        show: |config| config.realtime_priority.to_string(),
    },
    Setting {
        option: "lock-memory",
        field: "lock_memory",
        group: Group::BareMetal,
        kind: Kind::YesNo,
        value: "yes|no",
        help: "keep all memory out of swap (Linux, CAP_IPC_LOCK)",
        expected: YES_OR_NO,
        set: |config, text| put_yes_or_no(&mut config.lock_memory, text),
        show: |config| show_yes_or_no(config.lock_memory),
    },
    Setting {
        option: "udp-send",
        field: "udp_send",
        group: Group::Measuring,
        kind: Kind::Text,
        value: "auto|coalesce|batch|plain",
        help: "how to send voice; auto: the first of the others that the system supports",
        expected: "one of auto, coalesce, batch, plain",
        set: |config, text| {
            let way = UDP_SEND_NAMES.iter().find(|(_, name)| *name == text);
            way.map(|(way, _)| config.udp_send = *way)
        },
        show: |config| {
            let way = UDP_SEND_NAMES
                .iter()
                .find(|(way, _)| *way == config.udp_send);
            way.map_or(String::new(), |(_, name)| (*name).into())
        },
    },
    Setting {
        option: "measure-latency",
        field: "measure_latency",
        group: Group::Measuring,
        kind: Kind::YesNo,
        value: "yes|no",
        help: "measure how long each voice datagram takes through the server (Linux)",
        expected: YES_OR_NO,
        set: |config, text| put_yes_or_no(&mut config.measure_latency, text),
        show: |config| show_yes_or_no(config.measure_latency),
    },
];

const UDP_SEND_NAMES: [(UdpSend, &str); 4] = [
    (UdpSend::Auto, "auto"),
    (UdpSend::Coalesce, "coalesce"),
    (UdpSend::Batch, "batch"),
    (UdpSend::Plain, "plain"),
];
