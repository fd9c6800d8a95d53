{{ deduplicated('sms_message_accepted') }}
