import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Scanner;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * An application as anybody would write it: it places orders and reads the
 * decisions about them, with Kafka's own client and its defaults.
 *
 * <p>Arguments: bootstrap servers, topic of orders, topic of decisions. Each line
 * of the input is how to send (plain, committed or aborted), the order's id and
 * the event, parted by spaces. Each decision is printed as a line: the order's id,
 * a space and the record's value. It ends when every order that was not aborted
 * has one.
 */
public class StockClient {
    public static void main(String[] args) throws Exception {
        String bootstrap = args[0], orders = args[1], decisions = args[2];
        Map<String, String> waiting = new HashMap<>();
        try (Scanner in = new Scanner(System.in, "UTF-8")) {
            while (in.hasNextLine()) {
                String[] parts = in.nextLine().split(" ", 3);
                ProducerRecord<String, String> record = new ProducerRecord<>(orders, parts[1], parts[2]);
                switch (parts[0]) {
                    case "plain" -> send(bootstrap, record);
                    case "committed" -> transact(bootstrap, record, true);
                    case "aborted" -> transact(bootstrap, record, false);
                    default -> throw new IllegalArgumentException(parts[0]);
                }
                if (!parts[0].equals("aborted")) {
                    waiting.put(parts[1], parts[0]);
                }
            }
        }
        try (KafkaConsumer<String, String> consumer = new KafkaConsumer<>(consuming(bootstrap))) {
            consumer.subscribe(List.of(decisions));
            while (!waiting.isEmpty()) {
                for (ConsumerRecord<String, String> r : consumer.poll(Duration.ofSeconds(1))) {
                    System.out.println(r.key() + " " + r.value());
                    waiting.remove(r.key());
                }
            }
        }
    }

    static void send(String bootstrap, ProducerRecord<String, String> record) throws Exception {
        try (KafkaProducer<String, String> producer = new KafkaProducer<>(producing(bootstrap))) {
            producer.send(record).get();
        }
    }

    static void transact(String bootstrap, ProducerRecord<String, String> record, boolean commit) throws Exception {
        Properties p = producing(bootstrap);
        p.put(ProducerConfig.TRANSACTIONAL_ID_CONFIG, "web-shop");
        try (KafkaProducer<String, String> producer = new KafkaProducer<>(p)) {
            producer.initTransactions();
            producer.beginTransaction();
            producer.send(record).get();
            if (commit) {
                producer.commitTransaction();
            } else {
                producer.abortTransaction();
            }
        }
    }

    static Properties producing(String bootstrap) {
        Properties p = new Properties();
        p.put(ProducerConfig.BOOTSTRAP_SERVERS_CONFIG, bootstrap);
        p.put(ProducerConfig.KEY_SERIALIZER_CLASS_CONFIG, StringSerializer.class);
        p.put(ProducerConfig.VALUE_SERIALIZER_CLASS_CONFIG, StringSerializer.class);
        return p;
    }

    static Properties consuming(String bootstrap) {
        Properties p = new Properties();
        p.put(ConsumerConfig.BOOTSTRAP_SERVERS_CONFIG, bootstrap);
        p.put(ConsumerConfig.GROUP_ID_CONFIG, "web-shop");
        p.put(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG, "earliest");
        p.put(ConsumerConfig.ISOLATION_LEVEL_CONFIG, "read_committed");
        p.put(ConsumerConfig.KEY_DESERIALIZER_CLASS_CONFIG, StringDeserializer.class);
        p.put(ConsumerConfig.VALUE_DESERIALIZER_CLASS_CONFIG, StringDeserializer.class);
        return p;
    }
}
