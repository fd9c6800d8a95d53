{{ deduplicated('sms_link_clicked') }}
