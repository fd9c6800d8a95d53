{{ deduplicated('sms_message_submitted') }}
