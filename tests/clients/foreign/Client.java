// What a test has the JVM's JSch do: "java Client PORT USER password|key SECRET", and steps on standard input, a line
// each, their words divided by tabs. A listing goes to standard output. The first step that fails ends it with status 1.

import com.jcraft.jsch.ChannelSftp;
import com.jcraft.jsch.JSch;
import com.jcraft.jsch.Session;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.util.Vector;

public class Client {
    public static void main(String[] arguments) throws Exception {
        JSch library = new JSch();
        if (arguments[2].equals("key")) {
            library.addIdentity(arguments[3]);
        }
        Session session = library.getSession(arguments[1], "127.0.0.1", Integer.parseInt(arguments[0]));
        if (arguments[2].equals("password")) {
            session.setPassword(arguments[3]);
        }
        session.setConfig("StrictHostKeyChecking", "no");
        session.connect(30000);
        try {
            ChannelSftp sftp = (ChannelSftp) session.openChannel("sftp");
            sftp.connect();
            BufferedReader steps = new BufferedReader(new InputStreamReader(System.in));
            for (String step = steps.readLine(); step != null; step = steps.readLine()) {
                perform(sftp, step.split("\t"));
            }
            sftp.disconnect();
        } finally {
            session.disconnect();
        }
    }

    private static void perform(ChannelSftp sftp, String[] words) throws Exception {
        switch (words[0]) {
            case "mkdir": sftp.mkdir(words[1]); break;
            case "put": sftp.put(words[1], words[2], ChannelSftp.OVERWRITE); break;
            case "rename": sftp.rename(words[1], words[2]); break;
            case "remove": sftp.rm(words[1]); break;
            case "list":
                for (Object entry : (Vector<?>) sftp.ls(words[1])) {
                    System.out.println(((ChannelSftp.LsEntry) entry).getFilename());
                }
                break;
            default: throw new IllegalArgumentException(words[0]);
        }
    }
}
