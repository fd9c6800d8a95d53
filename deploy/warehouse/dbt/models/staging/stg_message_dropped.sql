{{ deduplicated('sms_message_dropped') }}
