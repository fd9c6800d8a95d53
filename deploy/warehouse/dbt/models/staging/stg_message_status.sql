{{ deduplicated('sms_message_status') }}
