//! What a scheduled task runs, from its definition (MS-TSCH, 2.5.7: the task's XML).

/// Appends the command and arguments of a task's first action that runs a program; nothing where it has
/// none. Some shippers leave the definition escaped as it stood in the record's XML.
pub(super) fn command(definition: &[u8], out: &mut Vec<u8>) {
    if definition.starts_with(b"&lt;") {
        let mut plain = Vec::with_capacity(definition.len());
        unescape(definition, &mut plain);
        return command_of(&plain, out);
    }
    command_of(definition, out);
}

fn command_of(definition: &[u8], out: &mut Vec<u8>) {
    let Some(command) = element(definition, b"Command") else {
        return;
    };
    unescape(command, out);
    if let Some(arguments) = element(definition, b"Arguments") {
        out.push(b' ');
        unescape(arguments, out);
    }
}

/// The content of the first element of a name, which holds text alone.
fn element<'x>(xml: &'x [u8], name: &[u8]) -> Option<&'x [u8]> {
    let mut rest = xml;
    loop {
        let open = rest.iter().position(|&byte| byte == b'<')?;
        rest = rest.get(open + 1..)?;
        if let Some(content) = rest
            .strip_prefix(name)
            .and_then(|rest| rest.strip_prefix(b">"))
        {
            let end = content.iter().position(|&byte| byte == b'<')?;
            return content.get(..end).map(<[u8]>::trim_ascii);
        }
    }
}

fn unescape(mut text: &[u8], out: &mut Vec<u8>) {
    const ENTITIES: [(&[u8], u8); 5] = [
        (b"&amp;", b'&'),
        (b"&lt;", b'<'),
        (b"&gt;", b'>'),
        (b"&quot;", b'"'),
        (b"&apos;", b'\''),
    ];
    while let Some((&byte, rest)) = text.split_first() {
        let entity = ENTITIES
            .iter()
            .find_map(|(name, byte)| Some((text.strip_prefix(*name)?, *byte)));
        let (rest, byte) = entity.unwrap_or((rest, byte));
        out.push(byte);
        text = rest;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tasks_command_is_read_from_its_definition() {
        for (definition, expected) in [
            (
                "<Task><Actions><Exec><Command>cmd.exe</Command><Arguments>/c \
                 &quot;a &amp;&amp; b&quot;</Arguments></Exec></Actions></Task>",
                "cmd.exe /c \"a && b\"",
            ),
            ("<Exec>\r\n <Command> x </Command></Exec>", "x"),
            ("&lt;Exec&gt;&lt;Command&gt;y&lt;/Command&gt;", "y"),
            ("<Command>cut", ""),
            ("", ""),
        ] {
            let mut out = Vec::new();
            command(definition.as_bytes(), &mut out);
            assert_eq!(String::from_utf8_lossy(&out), expected);
        }
    }
}
