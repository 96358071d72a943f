//! Events as JSON.

use super::*;
use crate::jitter::Counts;
use crate::speaker::Arrivals;

#[test]
fn json_is_one_line_that_names_its_event() {
    let who = Who {
        user_id: 7,
        name: "b\nb".into(),
        has_namesake: true,
    };
    let table = [
        (
            Event::Chat {
                who: who.clone(),
                timestamp_ms: 9,
                message: "two\nlines \"quoted\"".into(),
            },
            r#"{"event":"chat","user_id":7,"name":"b\nb","timestamp_ms":9,"message":"two\nlines \"quoted\""}"#,
        ),
        (
            Event::ChatRefused {
                message: "hi".into(),
                reason: None,
            },
            r#"{"event":"chat_refused","message":"hi"}"#,
        ),
        (
            Event::Heard(Heard {
                who,
                arrivals: Arrivals {
                    lost: 3,
                    ..Arrivals::default()
                },
                playout: Some(Playout {
                    is_playing: true,
                    depth_ms: 40,
                    counts: Counts {
                        concealed: 3,
                        ..Counts::default()
                    },
                }),
            }),
            concat!(
                r#"{"event":"heard","user_id":7,"name":"b\nb","datagrams":0,"bytes":0,"#,
                r#""lost":3,"duplicates":0,"reordered":0,"restarts":0,"jitter_ms":0.0,"playout":"#,
                r#"{"is_playing":true,"depth_ms":40,"played":0,"late":0,"concealed":3,"#,
                r#""stretched":0,"shortened":0,"dropped":0}}"#
            ),
        ),
    ];
    for (event, json) in table {
        assert_eq!(serde_json::to_string(&event).expect("it has no maps"), json);
    }
}
