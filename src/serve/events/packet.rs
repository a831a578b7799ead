//! The packets of MQTT 3.1.1 that somebody who only publishes sends. A whole client (rumqttc) brings an asynchronous
//! runtime that nothing else here has a use for.

/// A message for a topic.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Message {
    pub(super) topic: String,
    pub(super) payload: Vec<u8>,
    /// Whether the broker keeps it for who comes later.
    pub(super) is_retained: bool,
}

/// Asks for a sign of life.
pub(super) const PING: [u8; 2] = [0xc0, 0];
/// The end, without the will.
pub(super) const DISCONNECT: [u8; 2] = [0xe0, 0];

/// The first packet: who this is, and what the broker tells the others if it dies.
pub(super) fn connect(
    id: &str,
    will: &Message,
    access: Option<(&str, &str)>,
    keep_alive: u16,
) -> Vec<u8> {
    let mut body = Vec::new();
    text(&mut body, "MQTT");
    // Version 3.1.1; a clean session, a will that is retained, and user and password if there are any.
    body.extend([4, if access.is_some() { 0xe6 } else { 0x26 }]);
    body.extend(keep_alive.to_be_bytes());
    text(&mut body, id);
    text(&mut body, &will.topic);
    bytes(&mut body, &will.payload);
    if let Some((user, password)) = access {
        text(&mut body, user);
        text(&mut body, password);
    }
    packet(0x10, &body)
}

/// A message, once and without an answer.
pub(super) fn publish(message: &Message) -> Vec<u8> {
    let mut body = Vec::new();
    text(&mut body, &message.topic);
    body.extend(&message.payload);
    packet(0x30 | u8::from(message.is_retained), &body)
}

/// Whether the broker's first answer says welcome.
pub(super) fn is_accepted(answer: [u8; 4]) -> bool {
    answer[0] == 0x20 && answer[1] == 2 && answer[3] == 0
}

fn text(to: &mut Vec<u8>, text: &str) {
    bytes(to, text.as_bytes());
}

/// Bytes with their number before them; more than there can be are left out.
fn bytes(to: &mut Vec<u8>, bytes: &[u8]) {
    let bytes = &bytes[..bytes.len().min(usize::from(u16::MAX))];
    to.extend((bytes.len() as u16).to_be_bytes());
    to.extend(bytes);
}

fn packet(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut packet = vec![kind];
    let mut left = body.len();
    loop {
        let more = left > 127;
        packet.push((left % 128) as u8 | u8::from(more) << 7);
        left /= 128;
        if !more {
            break;
        }
    }
    packet.extend(body);
    packet
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_are_as_the_standard_has_them() {
        let message = |topic: &str, payload: String| Message {
            topic: topic.into(),
            payload: payload.into_bytes(),
            is_retained: true,
        };
        assert_eq!(publish(&message("a/b", "hi".into())), b"\x31\x07\0\x03a/bhi");
        // The standard's example of a length in two bytes: 321.
        assert_eq!(publish(&message("a", "x".repeat(318)))[1..3], [0xc1, 2]);
        let will = message("t", "off".into());
        let packet = connect("me", &will, Some(("u", "p")), 30);
        assert_eq!(
            packet,
            b"\x10\x1c\0\x04MQTT\x04\xe6\0\x1e\0\x02me\0\x01t\0\x03off\0\x01u\0\x01p"
        );
        assert!(is_accepted([0x20, 2, 0, 0]) && !is_accepted([0x20, 2, 0, 5]));
    }
}
